import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { unmountBelow } from './unmount-below.ts';

/**
 * One folder per test run holds everything that tests leave on the machine while they run: temporary folders, logs,
 * claimed ports, and a note of every process started. So one sweep at the end finds what a test forgot or a killed
 * worker could not stop, whichever worker started it.
 */
const VARIABLE = 'TWINPORT_TEST_RUN';
const PREFIX = 'twinport-test-';

interface ProcessNote {
  readonly pid: number;
  readonly name: string;
  /** Tells a process from a later one that got the same pid. */
  readonly startedAt: string;
}

/** The folder of this run, made when nobody made it yet. */
export function runFolder(): string {
  const known = process.env[VARIABLE];
  if (known !== undefined && existsSync(known)) return known;
  const folder = mkdtempSync(path.join(tmpdir(), PREFIX));
  for (const part of ['processes', 'ports', 'logs', 'folders']) mkdirSync(path.join(folder, part));
  writeFileSync(
    path.join(folder, 'owner.json'),
    JSON.stringify(describeProcess(process.pid, 'the test run')),
  );
  process.env[VARIABLE] = folder;
  return folder;
}

/** Notes a process, so that the sweep finds it. */
export function noteProcess(pid: number, name: string): void {
  const note = describeProcess(pid, name);
  if (note !== undefined) writeFileSync(notePath(pid), JSON.stringify(note));
}

export function forgetProcess(pid: number): void {
  rmSync(notePath(pid), { force: true });
}

/** Ends every noted process that still runs and removes the folder; names what had been left running. */
export function sweepRun(folder: string): string[] {
  const left = notes(folder).filter((note) => isStillRunning(note));
  for (const note of left) killQuietly(note.pid);
  unmountBelow(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  return left.map((note) => `${note.name} (pid ${note.pid})`);
}

/** Sweeps the folders of runs whose owner died without sweeping. */
export function sweepAbandonedRuns(): void {
  for (const entry of readdirSync(tmpdir())) {
    const folder = path.join(tmpdir(), entry);
    if (!entry.startsWith(PREFIX) || folder === process.env[VARIABLE]) continue;
    try {
      const owner = readNote(path.join(folder, 'owner.json'));
      if (owner !== undefined && !isStillRunning(owner)) sweepRun(folder);
    } catch {
      // Another run sweeps it at this moment, or it belongs to another user.
    }
  }
}

function notePath(pid: number): string {
  return path.join(runFolder(), 'processes', `${pid}.json`);
}

function notes(folder: string): ProcessNote[] {
  const parent = path.join(folder, 'processes');
  if (!existsSync(parent)) return [];
  return readdirSync(parent).flatMap((file) => readNote(path.join(parent, file)) ?? []);
}

function readNote(file: string): ProcessNote | undefined {
  if (!existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, 'utf8')) as ProcessNote;
}

function describeProcess(pid: number, name: string): ProcessNote | undefined {
  const startedAt = startTime(pid);
  return startedAt === undefined ? undefined : { pid, name, startedAt };
}

function isStillRunning(note: ProcessNote): boolean {
  return startTime(note.pid) === note.startedAt;
}

function startTime(pid: number): string | undefined {
  try {
    if (existsSync('/proc/self/stat')) {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return fields[0] === 'Z' ? undefined : fields[19];
    }
    return (
      execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() ||
      undefined
    );
  } catch {
    return undefined;
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}
