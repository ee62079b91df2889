import { readFileSync } from 'node:fs';

/** The processes that a process has started and that live. */
export function childProcesses(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}
