import { Writable } from 'node:stream';

/** Takes as many bytes as it is allowed to. */
export class Limited extends Writable {
  readonly #chunks: Buffer[] = [];
  bytes = 0;
  #allowed: number;
  #waiting: (() => void) | undefined;

  constructor(allowed = Infinity) {
    super();
    this.#allowed = allowed;
  }

  get all(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  allow(bytes: number): void {
    this.#allowed = bytes;
    if (this.bytes >= bytes) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  allowAll(): void {
    this.allow(Infinity);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // The memory is used again.
    this.#chunks.push(Buffer.from(chunk));
    this.bytes += chunk.length;
    if (this.bytes < this.#allowed) done();
    else this.#waiting = done;
  }
}
