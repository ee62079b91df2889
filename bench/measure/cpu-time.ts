import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second for every program. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time that the processes and all their descendants have used so far. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = withDescendants(pids).map((pid) => ticksOf(pid));
  return ticks.reduce((sum, count) => sum + count, 0) / TICKS_PER_SECOND;
}

/** Seconds of processor time of this process and of the children that it has waited for. */
export function ownCpuSeconds(): number {
  const fields = statOf('self');
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at] ?? 0), 0) / TICKS_PER_SECOND;
}

/** The processes themselves with all that they started. */
export function withDescendants(pids: readonly number[]): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = statOf(name)[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const found = new Set(pids);
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid);
  }
  return [...found];
}

/** Anonymous memory and the private copies of files that a process has in RAM, in bytes. */
export function residentBytes(pid: number): number {
  const status = readQuietly(`/proc/${pid}/status`);
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

function ticksOf(pid: number): number {
  const fields = statOf(String(pid));
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

/** The fields of /proc/<pid>/stat behind the command's name, which may hold blanks; none when the process is gone. */
function statOf(pid: string): string[] {
  const text = readQuietly(`/proc/${pid}/stat`);
  return text === '' ? [] : text.slice(text.lastIndexOf(') ') + 2).split(' ');
}

function readQuietly(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
