import type { Readable } from 'node:stream';

import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { RecentBytes } from './recent-bytes.ts';
import type { SharedBlock } from './shared-block.ts';
import type { SpoolFile } from './spool-file.ts';
import {
  type Available,
  type FollowedBody,
  NotSpooledError,
  SpoolReader,
  type SpoolReaderOptions,
} from './spool-reader.ts';

/** The end of what a reader gets is kept from it until the whole is known to be right, so that no wrong body completes. */
export const HOLD_BACK_BYTES = 64 * 1024;
/** What is gathered for one call of the system: each goes through the thread pool. */
const BATCH_BYTES = 256 * 1024;
/** What may be in memory alone; whoever has more waits for the disk. */
const UNWRITTEN_BYTES = 512 * 1024;
/** Pieces that are written at once where only a window is kept: much smaller than any window. */
const WINDOW_PIECE_BYTES = 256 * 1024;
/** How long the writer waits for a store that takes nothing, before it goes on without it. */
const STORE_STALL_MS = 15_000;

/**
 * The bytes of a fill while they arrive: one writer, any number of readers at their own speed. The file goes when the
 * writer has let go and the last reader is gone.
 *
 * A file that holds them all never waits for anybody. Its last bytes are in memory too, where they are read by whoever
 * keeps up, without waiting for the disk. A window holds the last ones alone: it moves on with the reader
 * that stores them, and without one with the fastest of the others; who falls far behind it gets a NotSpooledError.
 */
export class SpooledBody implements FollowedBody {
  readonly totalBytes: number;
  readonly #file: SpoolFile;
  readonly #windowBytes: number;
  readonly #clock: Clock;
  readonly #readers = new Set<SpoolReader>();
  #storing: SpoolReader | undefined;
  #isVerified = false;
  #failure: Error | undefined;
  #written = 0;
  #isAppending = false;
  /** Up to here bytes are written or about to be: what a window lies before is lost. */
  #claimed = 0;
  #isReleased = false;
  readonly #recent = new RecentBytes();
  /** Never rejects. */
  #writing: Promise<void> | undefined;
  #writeFault: Error | undefined;
  #wakeReaders: (() => void)[] = [];
  #wakeWriter: (() => void) | undefined;

  constructor(file: SpoolFile, totalBytes: number, clock: Clock) {
    this.#file = file;
    this.#windowBytes = file.windowBytes ?? totalBytes;
    this.#clock = clock;
    this.totalBytes = totalBytes;
  }

  /** All bytes stay until the end. */
  get isWhole(): boolean {
    return this.#windowBytes >= this.totalBytes;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Whether all bytes can be had as a file, once they are flushed. */
  get path(): string | undefined {
    return this.isWhole ? this.#file.path : undefined;
  }

  /**
   * The next bytes; those of a block are in use until it is released. Undefined when more may be appended at once, else
   * it resolves when that is so. The disk's faults come out at a later call.
   */
  append(chunk: Buffer, block?: SharedBlock): Promise<void> | undefined {
    if (!this.isWhole) return this.#appendToWindow(chunk);
    this.#recent.push(chunk, block);
    this.#claimed += chunk.length;
    this.#wake();
    const unwrittenBytes = this.#claimed - this.#written;
    if (unwrittenBytes >= BATCH_BYTES) this.#writing ??= this.#writeRecent();
    const isTooMuch = unwrittenBytes >= UNWRITTEN_BYTES;
    return isTooMuch || this.#writeFault ? this.#settleWrites() : undefined;
  }

  async #appendToWindow(chunk: Buffer): Promise<void> {
    // Bytes of two at once would lie in another order than the one they came in.
    if (this.#isAppending) throw new Error('the last bytes are still being appended');
    this.#isAppending = true;
    for (let start = 0; start < chunk.length; start += WINDOW_PIECE_BYTES) {
      const piece = chunk.subarray(start, start + WINDOW_PIECE_BYTES);
      await this.#makeRoom(piece.length);
      this.#claimed += piece.length;
      await this.#file.append([piece]).catch((error: unknown) => {
        throw this.#writeFailed(error);
      });
      this.#written += piece.length;
      this.#wake();
    }
    this.#isAppending = false;
  }

  /** Resolves when all bytes are in the file. */
  async flush(): Promise<void> {
    while (this.#written < this.#claimed) {
      this.#writing ??= this.#writeRecent();
      await this.#settleWrites();
    }
  }

  async #settleWrites(): Promise<void> {
    await this.#writing;
    if (this.#writeFault) throw this.#writeFault;
  }

  /** What is unwritten now; what comes meanwhile is gathered for the next time. */
  async #writeRecent(): Promise<void> {
    const end = this.#claimed;
    try {
      await this.#file.append(this.#recent.from(this.#written));
      this.#written = end;
      this.#recent.forget(end);
    } catch (error) {
      this.#writeFailed(error);
    }
    this.#writing = undefined;
  }

  /** Nothing that comes now can be kept: readers go on elsewhere behind what there is. */
  #writeFailed(error: unknown): Error {
    this.#writeFault = error instanceof Error ? error : new Error(String(error));
    this.#wake();
    return this.#writeFault;
  }

  /** The digest matches: readers get the rest. */
  markVerified(): void {
    this.#isVerified = true;
    this.#wake();
  }

  /**
   * Readers are destroyed with the error: none of them ends as if it were complete. Only when it was the disk that failed
   * they may go on.
   */
  fail(error: Error): void {
    this.#failure = error;
    this.#wake();
    this.#wakeWriter?.();
  }

  /** The writer needs the file no more. */
  release(): void {
    this.#isReleased = true;
    this.#closeIfUnused();
  }

  /**
   * Bytes [offset, offset + length), as they arrive. Undefined when the fill has failed, or the file or their beginning
   * is gone already.
   */
  read(
    offset: number,
    length: number,
    options: Pick<SpoolReaderOptions, 'continueFrom'> = {},
  ): SpoolReader | undefined {
    if (this.#failure || (this.#isReleased && this.#readers.size === 0)) return undefined;
    if (this.#isPassed(offset) && !options.continueFrom) return undefined;
    const end = offset + length;
    const reader = new SpoolReader(this, { position: offset, end, ...options });
    this.#readers.add(reader);
    return reader;
  }

  /** All bytes, for who stores them. A window waits for this reader as long as it moves. */
  readToStore(): Readable | undefined {
    const reader = this.read(0, this.totalBytes);
    // A store that gives up does not listen any more.
    reader?.on('error', () => undefined);
    this.#storing = reader;
    return reader;
  }

  /**
   * Waits until a reader up to `end` may read beyond `position`. Undefined when the reader is gone before that. A block
   * of what it may read is retained for it. Throws what the fill failed with, or NotSpooledError.
   */
  async availableFrom(
    position: number,
    end: number,
    isReaderGone: () => boolean,
  ): Promise<Available | undefined> {
    while (!isReaderGone()) {
      if (this.#failure && !this.#writeFault) throw this.#failure;
      this.#requireInWindow(position);
      const received = this.isWhole ? this.#claimed : this.#written;
      const limit = this.#isVerified ? end : Math.min(received, end - HOLD_BACK_BYTES);
      if (this.#isVerified || limit > position) {
        const piece = this.#recent.at(position, limit);
        // Before anything else runs: a block that nobody retains is filled with other bytes.
        piece?.block?.retain();
        return { limit, piece };
      }
      if (this.#writeFault) {
        throw new NotSpooledError('the disk took no more', { cause: this.#writeFault });
      }
      await new Promise<void>((resolve) => this.#wakeReaders.push(resolve));
    }
    return undefined;
  }

  async readAt(buffer: Buffer, position: number, length: number): Promise<number> {
    const count = await this.#file.read(buffer, position, length).catch((error: unknown) => {
      throw new NotSpooledError('the disk does not give it back', { cause: error });
    });
    // What was overwritten in the meantime are bytes of elsewhere.
    this.#requireInWindow(position);
    return count;
  }

  readerMoved(): void {
    this.#wakeWriter?.();
  }

  readerGone(reader: SpoolReader): void {
    if (!this.#readers.delete(reader)) return;
    if (this.#storing === reader) this.#storing = undefined;
    // So that those which wait for bytes find out that they are destroyed.
    this.#wake();
    this.#wakeWriter?.();
    this.#closeIfUnused();
  }

  /**
   * Waits until the window may move on by `bytes`. Half of it stays behind the reader that it moves with, for those that
   * are about as fast. Throws when nobody reads any more.
   */
  async #makeRoom(bytes: number): Promise<void> {
    const passed = this.#claimed + bytes - this.#windowBytes;
    if (passed <= 0) return;
    let last: { readonly leader: SpoolReader; readonly position: number } | undefined;
    let sinceMs = 0;
    for (;;) {
      if (this.#failure) throw this.#failure;
      if (this.#readers.size === 0) throw new Error('nobody reads the download any more');
      const leader = this.#storing ?? this.#fastestReader();
      if (!leader || leader.position - passed >= this.#windowBytes / 2) return;
      const nowMs = this.#clock.monotonicMs();
      if (leader !== last?.leader || leader.position !== last.position) {
        last = { leader, position: leader.position };
        sinceMs = nowMs;
      }
      const isStalled = nowMs - sinceMs >= STORE_STALL_MS;
      if (isStalled && leader === this.#storing) {
        leader.destroy(new Error('the store takes nothing'));
      } else await this.#pauseWriter(isStalled ? STORE_STALL_MS : sinceMs + STORE_STALL_MS - nowMs);
    }
  }

  #fastestReader(): SpoolReader | undefined {
    let fastest: SpoolReader | undefined;
    for (const reader of this.#readers) {
      // It waits for the digest, or for bytes still to come, and so for the writer: to wait for it would be for ever.
      if (reader.position >= reader.end - HOLD_BACK_BYTES) continue;
      if (reader.position > this.#claimed) continue;
      if (!fastest || reader.position > fastest.position) fastest = reader;
    }
    return fastest;
  }

  /** Until a reader moves or goes, or so many milliseconds. */
  async #pauseWriter(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wakeWriter = () => woken.abort();
    await this.#clock.sleep(ms, woken.signal).catch(() => undefined);
    this.#wakeWriter = undefined;
  }

  #isPassed(position: number): boolean {
    return position < this.#claimed - this.#windowBytes;
  }

  #requireInWindow(position: number): void {
    if (this.#isPassed(position)) throw new NotSpooledError('the window has moved on');
  }

  #wake(): void {
    const waiting = this.#wakeReaders;
    this.#wakeReaders = [];
    for (const wake of waiting) wake();
  }

  #closeIfUnused(): void {
    if (this.#isReleased && this.#readers.size === 0) void this.#close();
  }

  async #close(): Promise<void> {
    await this.#writing;
    this.#recent.clear();
    await this.#file.close().catch(() => undefined);
  }
}
