import { Readable } from 'node:stream';

import type { SpoolFile } from './spool.ts';

/** The end of what a reader gets is kept from it until the whole is known to be right, so that no wrong body completes. */
export const HOLD_BACK_BYTES = 64 * 1024;
const READ_BYTES = 128 * 1024;

/**
 * The bytes of a fill while they arrive: one writer, any number of readers at their own speed. The file goes when the
 * writer has let go and the last reader is gone.
 */
export class SpooledBody {
  readonly totalBytes: number;
  readonly #file: SpoolFile;
  #isVerified = false;
  #failure: Error | undefined;
  #written = 0;
  #readers = 0;
  #isReleased = false;
  #wakeReaders: (() => void)[] = [];

  constructor(file: SpoolFile, totalBytes: number) {
    this.#file = file;
    this.totalBytes = totalBytes;
  }

  async append(chunk: Buffer): Promise<void> {
    await this.#file.append(chunk);
    this.#written += chunk.length;
    this.#wake();
  }

  /** The digest matches: readers get the rest. */
  markVerified(): void {
    this.#isVerified = true;
    this.#wake();
  }

  /** Readers are destroyed with the error: none of them ends as if it were complete. */
  fail(error: Error): void {
    this.#failure = error;
    this.#wake();
  }

  /** The writer needs the file no more. */
  release(): void {
    this.#isReleased = true;
    this.#closeIfUnused();
  }

  /** Bytes [offset, offset + length), as they arrive. Undefined when the file is gone already. */
  read(offset: number, length: number): SpoolReader | undefined {
    if (this.#isReleased && this.#readers === 0) return undefined;
    this.#readers += 1;
    return new SpoolReader(this, offset, offset + length);
  }

  /**
   * Waits until a reader up to `end` may read beyond `position`; how far it may then. Undefined when the reader is gone
   * before that. Throws what the fill failed with.
   */
  async availableFrom(
    position: number,
    end: number,
    isReaderGone: () => boolean,
  ): Promise<number | undefined> {
    while (!isReaderGone()) {
      if (this.#failure) throw this.#failure;
      if (this.#isVerified) return end;
      const limit = Math.min(this.#written, end - HOLD_BACK_BYTES);
      if (limit > position) return limit;
      await new Promise<void>((resolve) => this.#wakeReaders.push(resolve));
    }
    return undefined;
  }

  readAt(buffer: Buffer, position: number, length: number): Promise<number> {
    return this.#file.read(buffer, position, length);
  }

  readerGone(): void {
    this.#readers -= 1;
    // So that those which wait for bytes find out that they are destroyed.
    this.#wake();
    this.#closeIfUnused();
  }

  #wake(): void {
    const waiting = this.#wakeReaders;
    this.#wakeReaders = [];
    for (const wake of waiting) wake();
  }

  #closeIfUnused(): void {
    if (this.#isReleased && this.#readers === 0) this.#file.close().catch(() => undefined);
  }
}

/** Follows a spooled body. Its buffers are its own, so that a slow reader holds one of them and no more. */
export class SpoolReader extends Readable {
  readonly #body: SpooledBody;
  readonly #end: number;
  readonly #first: number;
  #position: number;

  constructor(body: SpooledBody, position: number, end: number) {
    super({ highWaterMark: READ_BYTES });
    this.#body = body;
    this.#first = position;
    this.#position = position;
    this.#end = end;
  }

  /** Bytes given out so far. */
  get deliveredBytes(): number {
    return this.#position - this.#first;
  }

  override _read(): void {
    void this.#pushNext();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    done(error);
    this.#body.readerGone();
  }

  async #pushNext(): Promise<void> {
    try {
      const limit = await this.#body.availableFrom(this.#position, this.#end, () => this.destroyed);
      if (limit === undefined) return;
      const length = Math.min(READ_BYTES, limit - this.#position);
      if (length === 0) {
        this.push(null);
        return;
      }
      const buffer = Buffer.allocUnsafe(length);
      const count = await this.#body.readAt(buffer, this.#position, length);
      if (count === 0) throw new Error('the spool file is shorter than what was written to it');
      this.#position += count;
      this.push(count === length ? buffer : buffer.subarray(0, count));
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
