import { Readable, type Writable } from 'node:stream';

import { AwaitedWrites } from '../../../shared/storage/awaited-writes.ts';
import type { InspectChunk } from '../../../shared/storage/blob-store.ts';
import type { Piece } from './recent-bytes.ts';

const READ_BYTES = 128 * 1024;
/** Buffers kept for the next reader. */
const MAX_SPARE = 64;

const spare: Buffer[] = [];

/**
 * The spool does not have the byte: it is overwritten by later ones, as the reader was too slow for the window, or the
 * disk did not take it or does not give it back. It may be had elsewhere.
 */
export class NotSpooledError extends Error {
  override readonly name = 'NotSpooledError';
}

type ContinueFrom = (position: number, end: number) => Promise<Readable>;

export interface SpoolReaderOptions {
  readonly position: number;
  readonly end: number;
  /** The rest, [position, end), from elsewhere, for a reader whose next byte is not in the spool. */
  readonly continueFrom?: ContinueFrom;
}

/** What a reader may have now. */
export interface Available {
  /** How far it may read. */
  readonly limit: number;
  /** The next bytes where they are in memory, with their block retained; else they are in the file. */
  readonly piece: Piece | undefined;
}

/** What its readers ask of a body. */
export interface FollowedBody {
  availableFrom(
    position: number,
    end: number,
    isReaderGone: () => boolean,
  ): Promise<Available | undefined>;
  /** The number of bytes read. Throws NotSpooledError when they are not the ones that were written there. */
  readAt(buffer: Buffer, position: number, length: number): Promise<number>;
  readerMoved(): void;
  readerGone(reader: SpoolReader): void;
}

/** Follows a spooled body. A slow reader holds the memory of one piece and no more. */
export class SpoolReader extends Readable {
  readonly #body: FollowedBody;
  readonly #options: SpoolReaderOptions;
  #position: number;
  #rest: Readable | undefined;

  constructor(body: FollowedBody, options: SpoolReaderOptions) {
    super({ highWaterMark: READ_BYTES });
    this.#body = body;
    this.#options = options;
    this.#position = options.position;
  }

  /** The next byte that it wants. */
  get position(): number {
    return this.#position;
  }

  /** Behind its last byte. */
  get end(): number {
    return this.#options.end;
  }

  /** Bytes given out so far. */
  get deliveredBytes(): number {
    return this.#position - this.#options.position;
  }

  /**
   * Writes all of it to a destination, which stays open, from memory where it is there, else through one buffer: in place
   * of being read. Rejects when not all bytes could be written.
   */
  async copyTo(destination: Writable, inspect?: InspectChunk): Promise<void> {
    const writes = new AwaitedWrites(destination);
    let own: Buffer | undefined;
    const next = (): Promise<Piece | undefined> =>
      this.#next(() => (own ??= spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES)));
    try {
      for (let piece = await next(); piece; piece = await next()) {
        inspect?.(piece.bytes);
        await writes.write(piece.bytes);
        piece.block?.release();
      }
      // After a write that failed the memory may still be read: it is not used again.
      if (own && spare.length < MAX_SPARE) spare.push(own);
    } catch (error) {
      const { continueFrom } = this.#options;
      if (!(error instanceof NotSpooledError && continueFrom)) throw error;
      await this.#copyRest(continueFrom, writes, inspect);
    } finally {
      writes.end();
      this.destroy();
    }
  }

  async #copyRest(
    continueFrom: ContinueFrom,
    writes: AwaitedWrites,
    inspect: InspectChunk | undefined,
  ): Promise<void> {
    const { end } = this.#options;
    // The window need not wait for it any more.
    this.#body.readerGone(this);
    this.#rest = await continueFrom(this.#position, end);
    for await (const chunk of this.#rest as AsyncIterable<Buffer>) {
      this.#position += chunk.length;
      if (this.#position > end) break;
      inspect?.(chunk);
      await writes.write(chunk);
    }
    if (this.#position !== end) throw new Error('the rest of the blob has another length');
  }

  override _read(): void {
    if (this.#rest) this.#rest.resume();
    else void this.#pushNext();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    done(error);
    this.#rest?.destroy();
    this.#body.readerGone(this);
  }

  async #pushNext(): Promise<void> {
    try {
      await this.#readNext();
    } catch (error) {
      const { continueFrom } = this.#options;
      if (error instanceof NotSpooledError && continueFrom) void this.#goOn(continueFrom);
      else this.destroy(error as Error);
    }
  }

  async #readNext(): Promise<void> {
    // Fresh memory: what is pushed is the reader's.
    const piece = await this.#next(() => Buffer.allocUnsafe(READ_BYTES));
    const chunk = piece?.block ? Buffer.from(piece.bytes) : piece?.bytes;
    piece?.block?.release();
    if (!this.destroyed) this.push(chunk ?? null);
  }

  /** The next bytes: where they are in memory, else read into a buffer; undefined at the end. Its block is retained. */
  async #next(buffer: () => Buffer): Promise<Piece | undefined> {
    const { end } = this.#options;
    const position = this.#position;
    if (position === end && end > 0) return undefined;
    const available = await this.#body.availableFrom(position, end, () => this.destroyed);
    if (!available) throw new Error('the reader was destroyed');
    const { limit, piece } = available;
    if (limit === position) return undefined;
    const next = piece ?? (await this.#readFile(buffer(), limit));
    this.#position += next.bytes.length;
    this.#body.readerMoved();
    return next;
  }

  async #readFile(buffer: Buffer, limit: number): Promise<Piece> {
    const length = Math.min(buffer.length, limit - this.#position);
    const count = await this.#body.readAt(buffer, this.#position, length);
    if (count === 0) throw new Error('the spool file is shorter than what was written to it');
    return { bytes: buffer.subarray(0, count), block: undefined };
  }

  async #goOn(continueFrom: ContinueFrom): Promise<void> {
    // The window need not wait for it any more.
    this.#body.readerGone(this);
    try {
      const rest = await continueFrom(this.#position, this.#options.end);
      if (this.destroyed) {
        rest.on('error', () => undefined).destroy();
        return;
      }
      this.#rest = rest;
      rest.on('data', (chunk: Buffer) => {
        this.#position += chunk.length;
        if (!this.push(chunk)) rest.pause();
      });
      rest.once('end', () => this.push(null));
      rest.once('error', (error) => this.destroy(error));
      rest.once('close', () => {
        if (!rest.readableEnded) this.destroy(new Error('the rest of the blob broke off'));
      });
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
