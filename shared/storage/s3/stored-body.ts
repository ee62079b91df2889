import { Readable, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';

import { AwaitedWrites } from '../awaited-writes.ts';
import type { InspectChunk } from '../blob-store.ts';
import { LentBody } from '../../plain-http/lent-body.ts';
import { S3StorageError, storageFault } from './s3-errors.ts';

export interface StoredBodyOptions {
  readonly operation: string;
  readonly key: string;
  /** The stream must carry exactly this many bytes. */
  readonly length: number;
  /** A store that sends nothing for this long while it could is given up (at the latest after twice that). */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  /** Opens what is missing after so many bytes, of the very same object. Without it what breaks stays broken. */
  readonly resume?: ((receivedBytes: number) => Promise<Readable>) | undefined;
}

/** How often a body is opened again that then brings nothing. */
const FRUITLESS_RESUMES = 3;

/**
 * The body of an answer of the store as a stream that never ends short. What breaks (too few bytes, silence, a lost
 * connection) is opened again where it broke, so that the reader notices nothing; what cannot be mended, too many bytes
 * and an aborted signal destroy the stream with an error. Destroying it frees the connection.
 */
export class StoredBody extends Readable {
  readonly #options: StoredBodyOptions;
  readonly #timer: NodeJS.Timeout;
  #source: Readable | undefined;
  /** A source that has been told to lend its pieces. */
  #lender: LentBody | undefined;
  #received = 0;
  #receivedAtResume = 0;
  #fruitless = 0;
  #isWanted = false;
  #isSuspect = false;
  /** Where the pieces go when they are copied. */
  #writes: AwaitedWrites | undefined;
  #writing: Promise<void> | undefined;
  #inspect: InspectChunk | undefined;

  constructor(source: Readable, options: StoredBodyOptions) {
    super();
    // It may break before its reader has come; who reads a broken stream is told nevertheless.
    this.on('error', () => undefined);
    this.#options = options;
    this.#timer = setTimeout(this.#onTick, options.idleMs);
    this.#attach(source);
    if (options.signal.aborted) this.#onAbort();
    else options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /**
   * Writes all of it to a destination, which stays open; not one byte of it is copied where the source lends them. In
   * place of reading. Rejects with whatever ends either of the two, and with what `inspect` throws.
   */
  async copyTo(destination: Writable, inspect?: InspectChunk): Promise<void> {
    const writes = new AwaitedWrites(destination);
    this.#writes = writes;
    this.#inspect = inspect;
    try {
      this.resume();
      await finished(this);
      await this.#writing;
    } finally {
      writes.end();
    }
  }

  override _read(): void {
    this.#more();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#source?.destroy();
    done(error);
  }

  #attach(source: Readable): void {
    this.#source = source;
    this.#isSuspect = false;
    if (!(source instanceof LentBody)) {
      source.pause();
      source.on('data', (chunk: Buffer) => {
        if (source === this.#source && !this.#take(chunk)) source.pause();
      });
    }
    source.on('end', () => this.#onOver(source));
    source.on('error', (error) => this.#onOver(source, error));
    source.on('close', () => this.#onOver(source));
    if (source.destroyed) this.#onOver(source, source.errored ?? undefined);
    else if (this.#isWanted) this.#more();
  }

  /** The reader wants to have the next chunk. */
  #more(): void {
    this.#isWanted = true;
    const source = this.#source;
    if (!(source instanceof LentBody)) source?.resume();
    else if (source === this.#lender) source.more();
    else {
      this.#lender = source;
      source.lend((piece) => {
        if (source !== this.#source) return false;
        return this.#take(this.#writes ? piece : Buffer.from(piece));
      });
    }
  }

  /** False: the reader has enough for now. */
  #take(chunk: Buffer): boolean {
    if (this.destroyed) return false;
    this.#isSuspect = false;
    this.#received += chunk.length;
    if (this.#received > this.#options.length) {
      this.destroy(this.#fault('sent more than wanted'));
      return false;
    }
    const isTaken = this.#writes ? this.#write(this.#writes, chunk) : this.push(chunk);
    this.#isWanted = isTaken;
    return isTaken;
  }

  #write(writes: AwaitedWrites, chunk: Buffer): boolean {
    try {
      this.#inspect?.(chunk);
    } catch (error) {
      this.destroy(error as Error);
      return false;
    }
    this.#writing = writes.write(chunk);
    this.#writing?.then(
      () => this.#more(),
      (error: unknown) => this.destroy(error as Error),
    );
    return this.#writing === undefined;
  }

  /** A source is over once, however many of its events say so. */
  #onOver(source: Readable, error?: Error): void {
    if (source !== this.#source || this.destroyed) return;
    const { operation, key, length } = this.#options;
    this.#source = undefined;
    if (this.#received === length) {
      this.push(null);
      return;
    }
    source.destroy();
    const ended = this.#fault(`ended after ${this.#received} of ${length} bytes`);
    void this.#mend(error === undefined ? ended : storageFault(operation, key, error));
  }

  async #mend(fault: Error): Promise<void> {
    const { resume, operation, key } = this.#options;
    this.#fruitless = this.#received > this.#receivedAtResume ? 0 : this.#fruitless + 1;
    this.#receivedAtResume = this.#received;
    if (resume === undefined || this.#fruitless >= FRUITLESS_RESUMES) {
      this.destroy(fault);
      return;
    }
    try {
      const source = await resume(this.#received);
      if (this.destroyed) source.on('error', () => undefined).destroy();
      else this.#attach(source);
    } catch (error) {
      this.destroy(storageFault(operation, key, error));
    }
  }

  /** Only silence of the store counts: while the reader has not taken what is there, the store is not to blame. */
  readonly #onTick = (): void => {
    const source = this.#source;
    if (this.#isSuspect) source?.destroy(this.#fault('stopped sending'));
    this.#isSuspect = this.#isWanted && source !== undefined;
    this.#timer.refresh();
  };

  readonly #onAbort = (): void => {
    const { reason } = this.#options.signal as { reason: unknown };
    this.destroy(reason instanceof Error ? reason : new Error('aborted'));
  };

  #fault(what: string): S3StorageError {
    return new S3StorageError(this.#options.operation, `${this.#options.key}: ${what}`, true);
  }
}
