import { Readable } from 'node:stream';

/** What a body asks of the connection that it comes by. */
export interface BodySource {
  /** Reads on. */
  resume(): void;
  /** All of the body has come. */
  release(): void;
  /** What is left of it is not wanted. */
  destroy(): void;
}

/** Takes a piece of a body. False when its memory is still needed. */
export type TakePiece = (piece: Buffer) => boolean;

/** As large as reads get that are worth it, and small enough for a thousand slow clients. */
const BUFFER_BYTES = 256 * 1024;
/** Buffers kept for the next bodies. */
const MAX_SPARE = 32;

const spare: Buffer[] = [];

/**
 * The body of an answer, of exactly the announced length. It is read into one buffer again and again: whoever takes its
 * pieces by `lend` gets them without a copy, and nothing more is read until he is done with the last. Read as a stream
 * it copies them. A connection that ends before it destroys it with an error; destroying it ends the connection.
 */
export class LentBody extends Readable {
  readonly #source: BodySource;
  #missing: number;
  /** What came with the head of the answer. */
  #first: Buffer | undefined;
  #buffer: Buffer | undefined;
  #take: TakePiece | undefined;
  #memory: (() => Buffer) | undefined;
  #isWaiting = false;

  constructor(source: BodySource, length: number, first: Buffer) {
    super();
    this.#source = source;
    this.#missing = length;
    this.#first = first;
    // It may break before anybody has come to read it.
    this.on('error', () => undefined);
  }

  /** Where the connection reads the next piece into. */
  get buffer(): Buffer {
    if (this.#memory) return this.#memory();
    this.#buffer ??= spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    return this.#buffer;
  }

  /** Whether it is the sender's turn, not the reader's. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Bytes that have not been handed on yet. */
  get missing(): number {
    return this.#missing;
  }

  /** Whether anything of it is still to be read from the connection. */
  get isToBeRead(): boolean {
    return this.#missing > (this.#first?.length ?? 0);
  }

  /**
   * In place of reading: hands every piece over, in memory that is used again as soon as `take` returns true, or after
   * a call of `more`. Then, and not before, the stream ends; it fails as it would for a reader. With `memory` it is read
   * into what that gives each time; the first pieces may be elsewhere.
   */
  lend(take: TakePiece, memory?: () => Buffer): void {
    this.#take = take;
    this.#memory = memory;
    this.more();
  }

  /** The last piece is no longer needed, and the next one is wanted. */
  more(): void {
    if (this.destroyed) return;
    const first = this.#first;
    this.#first = undefined;
    if (first && first.length > 0 && !this.#hand(first)) return;
    this.#isWaiting = this.#missing > 0;
    if (this.#isWaiting) this.#source.resume();
    else this.#end();
  }

  /** The connection has read a piece of the body. False: it shall not read on. */
  feed(piece: Buffer): boolean {
    this.#isWaiting = false;
    if (!this.#hand(piece)) return false;
    this.#isWaiting = this.#missing > 0;
    if (this.#isWaiting) return true;
    this.#end();
    return false;
  }

  override _read(): void {
    if (!this.#take) this.more();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Its memory may still be in use: it is not used again.
    this.#buffer = undefined;
    if (this.#missing > 0) this.#source.destroy();
    done(error);
  }

  #hand(piece: Buffer): boolean {
    this.#missing -= piece.length;
    if (this.#missing === 0) this.#source.release();
    return this.#take ? this.#take(piece) : this.push(Buffer.from(piece));
  }

  #end(): void {
    if (this.#buffer && spare.length < MAX_SPARE) spare.push(this.#buffer);
    this.#buffer = undefined;
    this.push(null);
    if (this.#take) this.resume();
  }
}
