import { statfs } from 'node:fs/promises';

/** A call that took longer waited for a device, and so did everybody else in this process; or it lost the processor. */
const SLOW_MS = 5;
/** More slow calls among the last ten or so than a busy processor explains. */
const MAX_SLOWNESS = 2.5;
const SLOWNESS_DECAY = 0.9;
/** For so long nobody is made to wait again. */
const PAUSE_MS = 2_000;
/**
 * What calls may take of one turn of the event loop. Calls in place never give it up: a list that looks at 100,000 files
 * one after the other would hold up everybody for as long as it takes.
 */
const TURN_MS = 5;

/**
 * File systems on this machine (statfs(2)): ext4, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs, bcachefs. A network one may
 * hang, and a process that asks it something in place would hang with it.
 */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
]);

/**
 * Decides whether short calls of the system are made in place, on the event loop: what it has in memory takes it ten
 * microseconds, and several times as much by way of the thread pool. Only on file systems of this machine, not for a
 * while after calls have been slow, and not when this turn of the event loop has had its share. Never for calls that
 * wait for the disk, nor for many bytes.
 */
export class PromptCalls {
  #state: 'unknown' | 'asking' | 'local' | 'other' = 'unknown';
  #pausedUntilMs = 0;
  #slowness = 0;
  /** What calls have taken of this turn; undefined before its first one. */
  #turnMs: number | undefined;

  /** Finds out whether the file system of the folder allows it; until then nothing is done in place. */
  async prepare(root: string): Promise<void> {
    this.#state = 'asking';
    try {
      const { type } = await statfs(root);
      // Node gives it signed on some platforms.
      this.#state = LOCAL_TYPES.has(type >>> 0) ? 'local' : 'other';
    } finally {
      if (this.#state === 'asking') this.#state = 'unknown';
    }
  }

  /** As `prepare`, beside what goes on, unless that was done. */
  prepareOnce(root: string): void {
    if (this.#state === 'unknown') this.prepare(root).catch(() => undefined);
  }

  /** Whether a call may be made in place now. */
  get arePrompt(): boolean {
    if (this.#turnMs !== undefined && this.#turnMs >= TURN_MS) return false;
    return this.#state === 'local' && performance.now() >= this.#pausedUntilMs;
  }

  /** Makes a call in place. Throws what it throws. */
  make<T>(call: () => T): T {
    const startedAtMs = performance.now();
    try {
      return call();
    } finally {
      this.#note(startedAtMs, performance.now());
    }
  }

  /** Makes a call in place or by way of the thread pool. */
  async either<T>(inPlace: () => T, elsewhere: () => Promise<T>): Promise<T> {
    return this.arePrompt ? this.make(inPlace) : await elsewhere();
  }

  #note(startedAtMs: number, endedAtMs: number): void {
    if (this.#turnMs === undefined) {
      setImmediate(() => {
        this.#turnMs = undefined;
      });
    }
    this.#turnMs = (this.#turnMs ?? 0) + endedAtMs - startedAtMs;
    const isSlow = endedAtMs - startedAtMs > SLOW_MS;
    this.#slowness = this.#slowness * SLOWNESS_DECAY + (isSlow ? 1 : 0);
    if (this.#slowness < MAX_SLOWNESS) return;
    this.#slowness = 0;
    this.#pausedUntilMs = endedAtMs + PAUSE_MS;
  }
}
