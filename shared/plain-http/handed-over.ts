import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';

/**
 * A connection on which a request was sent and an answer has begun, for a parser of its own choice: what is written
 * to it is dropped, since it was sent already; what came and what will come is read from it.
 */
export class HandedOver extends Duplex {
  readonly #socket: Socket;

  constructor(socket: Socket, received: Buffer) {
    super();
    this.#socket = socket;
    this.push(received);
    socket.once('end', () => this.push(null));
    socket.once('close', () => this.destroy(socket.errored ?? undefined));
  }

  /** As a socket has it; the deadlines are kept elsewhere. */
  setTimeout(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** The answer is over. */
  destroySoon(): void {
    this.destroy();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(_chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
