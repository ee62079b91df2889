import { readFileSync } from 'node:fs';

const KIB = 1024;
const EVERY_MS = 100;

/** Watches how much memory a process has in use, from `/proc`, until it is stopped. */
export class ResidentMemory {
  /** In bytes, when the watch began. */
  readonly atRest: number;
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peak: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.atRest = residentBytes(pid);
    this.#peak = this.atRest;
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    this.#timer.unref();
  }

  /** Ends the watch; resolves to the most that was seen, in bytes. */
  stop(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.#peak;
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, residentBytes(this.#pid));
  }
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * KIB;
}
