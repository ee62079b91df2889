import type { Readable } from 'node:stream';

import type { Piece } from './recent-bytes.ts';
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

/**
 * The bytes of a fill while they arrive: one writer, any number of readers at their own speed. The file goes when the
 * writer has let go and the last reader is gone. See WholeBody and WindowBody for what of them is there.
 */
export abstract class SpooledBody implements FollowedBody {
  readonly totalBytes: number;
  protected readonly file: SpoolFile;
  protected readonly readers = new Set<SpoolReader>();
  #isVerified = false;
  #failure: Error | undefined;
  #writeFault: Error | undefined;
  #isReleased = false;
  #wakeReaders: (() => void)[] = [];

  constructor(file: SpoolFile, totalBytes: number) {
    this.file = file;
    this.totalBytes = totalBytes;
  }

  /** Where all bytes can be had as a file, once they are flushed. */
  abstract get path(): string | undefined;

  /** The first byte that is still there. */
  abstract get firstByte(): number;

  /** Behind the last byte that can be read. */
  protected abstract get received(): number;

  /**
   * The next bytes; those of a block are in use until it is released. Undefined when more may be appended at once, else
   * it resolves when that is so. The disk's faults come out at a later call.
   */
  abstract append(chunk: Buffer, block?: SharedBlock): Promise<void> | undefined;

  /** Resolves when all bytes are in the file. */
  abstract flush(): Promise<void>;

  /** A reader has moved or gone, or the fill has failed. */
  abstract readerMoved(): void;

  /** Bytes from the position on that are in memory. */
  protected abstract inMemory(position: number, limit: number): Piece | undefined;

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  protected get failure(): Error | undefined {
    return this.#failure;
  }

  protected get writeFault(): Error | undefined {
    return this.#writeFault;
  }

  /** Nothing that comes now can be kept: readers go on elsewhere behind what there is. */
  protected writeFailed(error: unknown): Error {
    this.#writeFault = error instanceof Error ? error : new Error(String(error));
    this.wake();
    return this.#writeFault;
  }

  /** The digest matches: readers get the rest. */
  markVerified(): void {
    this.#isVerified = true;
    this.wake();
  }

  /**
   * Readers are destroyed with the error: none of them ends as if it were complete. Only when it was the disk that failed
   * they may go on.
   */
  fail(error: Error): void {
    this.#failure = error;
    this.wake();
    this.readerMoved();
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
    if (this.#failure || (this.#isReleased && this.readers.size === 0)) return undefined;
    if (offset < this.firstByte && !options.continueFrom) return undefined;
    const end = offset + length;
    const reader = new SpoolReader(this, { position: offset, end, ...options });
    this.readers.add(reader);
    return reader;
  }

  /** All bytes, for who stores them while they come. */
  readToStore(): Readable | undefined {
    const reader = this.read(0, this.totalBytes);
    // A store that gives up does not listen any more.
    return reader?.on('error', () => undefined);
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
      this.#requireThere(position);
      const limit = this.#isVerified ? end : Math.min(this.received, end - HOLD_BACK_BYTES);
      if (this.#isVerified || limit > position) {
        const piece = this.inMemory(position, limit);
        // Before anything else runs: a block that nobody retains is filled with other bytes.
        piece?.block?.retain();
        return { limit, piece };
      }
      if (this.#writeFault) {
        throw new NotSpooledError('the disk took no more', {
          cause: this.#writeFault,
        });
      }
      await new Promise<void>((resolve) => this.#wakeReaders.push(resolve));
    }
    return undefined;
  }

  async readAt(buffer: Buffer, position: number, length: number): Promise<number> {
    const count = await this.file.read(buffer, position, length).catch((error: unknown) => {
      throw new NotSpooledError('the disk does not give it back', {
        cause: error,
      });
    });
    // What was overwritten in the meantime are bytes of elsewhere.
    this.#requireThere(position);
    return count;
  }

  readerGone(reader: SpoolReader): void {
    if (!this.readers.delete(reader)) return;
    // So that those which wait for bytes find out that they are destroyed.
    this.wake();
    this.readerMoved();
    this.#closeIfUnused();
  }

  /** Readers look again at what there is for them. */
  protected wake(): void {
    const waiting = this.#wakeReaders;
    this.#wakeReaders = [];
    for (const wake of waiting) wake();
  }

  /** Gives up what is in memory and the file. */
  protected async close(): Promise<void> {
    await this.file.close().catch(() => undefined);
  }

  #requireThere(position: number): void {
    if (position < this.firstByte) throw new NotSpooledError('the window has moved on');
  }

  #closeIfUnused(): void {
    if (this.#isReleased && this.readers.size === 0) void this.close();
  }
}
