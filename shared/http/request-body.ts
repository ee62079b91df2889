import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

import { noteFreshBytes } from '../lifecycle/fresh-bytes.ts';

/**
 * The body of a request as a stream of its own: whoever reads it may destroy it without taking the connection down
 * with it, so that a failed write to the store still gets its answer. A client that leaves mid-body destroys it with
 * an error. It reads from the connection only as fast as it is read itself.
 */
export class RequestBody extends Readable {
  readonly #request: IncomingMessage;
  #onStart: (() => void) | undefined;
  #bytes = 0;
  #isAttached = false;

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    noteFreshBytes(chunk.length);
    if (!this.push(chunk)) this.#request.pause();
  };
  readonly #onEnd = (): void => {
    this.#detach();
    this.push(null);
  };
  readonly #onBreak = (): void => {
    this.destroy(new Error('the client closed the connection before the end of the body'));
  };

  /** `onStart` is called once, when somebody begins to read. */
  constructor(request: IncomingMessage, onStart: () => void) {
    super();
    this.#request = request;
    this.#onStart = onStart;
    // A client may leave before anybody reads: the reader will hear of it, and an unheard error would end the process.
    this.on('error', () => undefined);
  }

  /** Bytes received so far. */
  get receivedBytes(): number {
    return this.#bytes;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    const request = this.#request;
    // Let go of before anybody read: the request belongs to the answer by now, which reads the rest away.
    if (this.destroyed) {
      callback();
      return;
    }
    this.#isAttached = true;
    request.pause();
    request.on('data', this.#onData);
    request.once('end', this.#onEnd);
    request.once('close', this.#onBreak);
    if (request.destroyed && !request.readableEnded) this.#onBreak();
    callback();
  }

  override _read(): void {
    this.#onStart?.();
    this.#onStart = undefined;
    this.#request.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#detach();
    if (this.#isAttached) this.#request.pause();
    callback(error);
  }

  #detach(): void {
    this.#request.off('data', this.#onData);
    this.#request.off('end', this.#onEnd);
    this.#request.off('close', this.#onBreak);
  }
}

/** True when the headers announce a body of at least one byte, or of unknown length. */
export function hasBody(request: IncomingMessage): boolean {
  if (request.headers['transfer-encoding'] !== undefined) return true;
  const length = request.headers['content-length'];
  return length !== undefined && length !== '0';
}

/** The announced length of the body in bytes; undefined when it is sent in chunks. Node's parser has checked it. */
export function bodyLength(request: IncomingMessage): number | undefined {
  if (request.headers['transfer-encoding'] !== undefined) return undefined;
  return Number(request.headers['content-length'] ?? 0);
}

/** Reads a body into memory. Undefined as soon as it is known to be longer than `maxBytes`. */
export async function readBody(
  body: Readable,
  announcedBytes: number | undefined,
  maxBytes: number,
): Promise<Buffer | undefined> {
  if (announcedBytes !== undefined && announcedBytes > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
