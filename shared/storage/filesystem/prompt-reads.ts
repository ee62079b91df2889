import { closeSync, openSync, readSync } from 'node:fs';
import { statfs } from 'node:fs/promises';

import { isAbsence } from './filesystem-errors.ts';

/** A read that took longer waited for a device, and so did everybody else in this process; or it lost the processor. */
const SLOW_MS = 5;
/** More slow reads among the last ten or so than a busy processor explains. */
const MAX_SLOWNESS = 2.5;
const SLOWNESS_DECAY = 0.9;
/** For so long nobody is made to wait again. */
const PAUSE_MS = 2_000;
/**
 * What reads may take of one turn of the event loop. Reads in place never give it up: a list that looks at 100,000 files
 * one after the other would hold up everybody for as long as it takes.
 */
const TURN_MS = 5;

/**
 * File systems on this machine (statfs(2)): ext4, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs, bcachefs. A network one may
 * hang, and a process that reads from it in place would hang with it.
 */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
]);

/** What was read: the bytes, nothing where nothing is, or that it should be read by other means. */
export type PromptRead = { readonly bytes: Buffer | undefined } | 'not now';

/**
 * Reads small files in place, on the event loop: what the system has in memory takes ten microseconds that way, and
 * several times as much by way of the thread pool. Only on file systems of this machine, not for a while after reads
 * have been slow, and not when this turn of the event loop has had its share.
 */
export class PromptReads {
  readonly #scratch: Buffer;
  #isLocal = false;
  #pausedUntilMs = 0;
  #slowness = 0;
  /** What reads have taken of this turn; undefined before its first one. */
  #turnMs: number | undefined;

  /** Files of `maxBytes` and more are left to others. */
  constructor(maxBytes: number) {
    this.#scratch = Buffer.allocUnsafeSlow(maxBytes);
  }

  /** Finds out whether the folder allows it; until then nothing is read in place. */
  async prepare(root: string): Promise<void> {
    const { type } = await statfs(root);
    // Node gives it signed on some platforms.
    this.#isLocal = LOCAL_TYPES.has(type >>> 0);
  }

  /** Throws what the system says. */
  read(path: string): PromptRead {
    const startedAtMs = performance.now();
    if (!this.#isLocal || startedAtMs < this.#pausedUntilMs) return 'not now';
    if (this.#turnMs !== undefined && this.#turnMs >= TURN_MS) return 'not now';
    try {
      return this.#read(path);
    } catch (error) {
      if (isAbsence(error)) return { bytes: undefined };
      throw error;
    } finally {
      this.#note(startedAtMs, performance.now());
    }
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

  #read(path: string): PromptRead {
    const file = openSync(path, 'r');
    try {
      const bytes = readSync(file, this.#scratch, 0, this.#scratch.length, 0);
      if (bytes === this.#scratch.length) return 'not now';
      return { bytes: Buffer.from(this.#scratch.subarray(0, bytes)) };
    } finally {
      closeSync(file);
    }
  }
}
