import type { Readable } from 'node:stream';

import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { SpoolFile } from './spool-file.ts';
import type { SpoolReader } from './spool-reader.ts';
import { HOLD_BACK_BYTES, SpooledBody } from './spooled-body.ts';

/** Pieces that are written at once: much smaller than any window. */
const PIECE_BYTES = 256 * 1024;
/** How long the writer waits for a store that takes nothing, before it goes on without it. */
const STORE_STALL_MS = 15_000;

/** How long the reader that the window moves with has stood at a byte. */
interface Stand {
  readonly leader: SpoolReader;
  readonly position: number;
  readonly sinceMs: number;
}

/**
 * A body of which the last bytes alone are there: the window moves on with the reader that stores them, and without one
 * with the fastest of the others; who falls far behind it gets a NotSpooledError.
 */
export class WindowBody extends SpooledBody {
  readonly #windowBytes: number;
  readonly #clock: Clock;
  #storing: SpoolReader | undefined;
  #written = 0;
  /** Up to here bytes are written or about to be: what a window lies before is lost. */
  #claimed = 0;
  #isAppending = false;
  #wakeWriter: (() => void) | undefined;

  constructor(file: SpoolFile, windowBytes: number, totalBytes: number, clock: Clock) {
    super(file, totalBytes);
    this.#windowBytes = windowBytes;
    this.#clock = clock;
  }

  get path(): undefined {
    return undefined;
  }

  get firstByte(): number {
    return Math.max(this.#claimed - this.#windowBytes, 0);
  }

  protected get received(): number {
    return this.#written;
  }

  async append(chunk: Buffer): Promise<void> {
    // Bytes of two at once would lie in another order than the one they came in.
    if (this.#isAppending) throw new Error('the last bytes are still being appended');
    this.#isAppending = true;
    for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
      const piece = chunk.subarray(start, start + PIECE_BYTES);
      await this.#makeRoom(piece.length);
      this.#claimed += piece.length;
      await this.file.append([piece]).catch((error: unknown) => {
        throw this.writeFailed(error);
      });
      this.#written += piece.length;
      this.wake();
    }
    this.#isAppending = false;
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  /** The window waits for this reader as long as it moves. */
  override readToStore(): Readable | undefined {
    const reader = this.read(0, this.totalBytes);
    // A store that gives up does not listen any more.
    this.#storing = reader?.on('error', () => undefined);
    return reader;
  }

  override readerGone(reader: SpoolReader): void {
    if (this.#storing === reader) this.#storing = undefined;
    super.readerGone(reader);
  }

  readerMoved(): void {
    this.#wakeWriter?.();
  }

  protected inMemory(): undefined {
    return undefined;
  }

  /**
   * Waits until the window may move on by `bytes`. Half of it stays behind the reader that it moves with, for those that
   * are about as fast. Throws when nobody reads any more.
   */
  async #makeRoom(bytes: number): Promise<void> {
    const passed = this.#claimed + bytes - this.#windowBytes;
    if (passed <= 0) return;
    for (let stand: Stand | undefined; ;) {
      if (this.failure) throw this.failure;
      if (this.readers.size === 0) throw new Error('nobody reads the download any more');
      const leader = this.#storing ?? this.#fastestReader();
      if (!leader || leader.position - passed >= this.#windowBytes / 2) return;
      const nowMs = this.#clock.monotonicMs();
      if (stand?.leader !== leader || stand.position !== leader.position) {
        stand = { leader, position: leader.position, sinceMs: nowMs };
      }
      const leftMs = stand.sinceMs + STORE_STALL_MS - nowMs;
      if (leader !== this.#storing) await this.#pause(STORE_STALL_MS);
      else if (leftMs > 0) await this.#pause(leftMs);
      else leader.destroy(new Error('the store takes nothing'));
    }
  }

  #fastestReader(): SpoolReader | undefined {
    let fastest: SpoolReader | undefined;
    for (const reader of this.readers) {
      // It waits for the digest, or for bytes still to come, and so for the writer: to wait for it would be for ever.
      if (reader.position >= reader.end - HOLD_BACK_BYTES) continue;
      if (reader.position > this.#claimed) continue;
      if (!fastest || reader.position > fastest.position) fastest = reader;
    }
    return fastest;
  }

  /** Until a reader moves or goes, or so many milliseconds. */
  async #pause(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wakeWriter = () => woken.abort();
    await this.#clock.sleep(ms, woken.signal).catch(() => undefined);
    this.#wakeWriter = undefined;
  }
}
