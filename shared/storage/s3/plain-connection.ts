import type { OnReadOpts, Socket } from 'node:net';
import type { Writable } from 'node:stream';

import { type PlainHead, type PlainMethod, readHead } from '../../plain-http/plain-head.ts';
import { hangUp } from '../../plain-http/pull-connection.ts';
import { type Endpoint, openStoreSocket } from './store-socket.ts';

export interface PlainAnswer {
  readonly head: PlainHead;
  /** All of it, in memory of its own. */
  readonly body: Buffer;
}

/** Bytes that are read while they are sent. */
export interface SentBody {
  /** In bytes. */
  readonly length: number;
  /**
   * Writes exactly so many, from the beginning each time; leaves the destination open. Tells when there is nothing left
   * to read, and resolves when it holds nothing any more. Rejects when it cannot.
   */
  writeTo(destination: Writable, onRead: () => void): Promise<void>;
}

/** A request as it goes over the wire. Whoever asks leaves the body alone until the answer is there, or none is. */
export interface PlainQuestion {
  readonly method: PlainMethod;
  /** With the empty line after it. */
  readonly head: string;
  readonly body?: Buffer | SentBody | undefined;
}

const NOTHING = Buffer.alloc(0);

/** All connections read into it; what is kept is copied out before anything else is read. */
const sharedBuffer = Buffer.allocUnsafeSlow(64 * 1024);

interface Asked {
  readonly answer: PromiseWithResolvers<PlainAnswer>;
  readonly method: PlainMethod;
  readonly maxBytes: number;
  /** Of the head, until there is all of it. */
  received: Buffer;
  head: PlainHead | undefined;
  body: Buffer;
  bodyBytes: number;
  isRead: boolean;
  isReusable: boolean;
}

/**
 * A connection to a store for one request after the other, each answered as a whole. It knows plain answers alone
 * (see parsePlainHead): anything else ends it, and with it the question.
 */
export class PlainConnection {
  readonly #socket: Socket;
  readonly #onFree: () => void;
  #asked: Asked | undefined;
  #isFresh = true;
  #hasAnswered = false;

  /** `onFree` is told each time when it can be asked again. */
  constructor(endpoint: Endpoint, onFree: () => void) {
    this.#onFree = onFree;
    const onread: OnReadOpts = {
      buffer: sharedBuffer,
      callback: (bytes, buffer) => {
        this.#onBytes((buffer as Buffer).subarray(0, bytes));
        return true;
      },
    };
    this.#socket = openStoreSocket(endpoint, onread);
    this.#socket.once('close', () => {
      this.#asked?.answer.reject(this.#socket.errored ?? hangUp());
    });
  }

  get isConnecting(): boolean {
    return this.#socket.connecting;
  }

  /** It has more to send than it has sent. */
  get isSending(): boolean {
    return this.#asked?.isRead === false || this.#socket.writableLength > 0;
  }

  /** Of all that was sent over it, in bytes; what the system still holds counts as sent. */
  get sentBytes(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  get isUsable(): boolean {
    return !this.#asked && !this.#socket.destroyed && this.#socket.writable;
  }

  /** Whether what was asked last met a connection that the store had closed meanwhile: it has read nothing of it. */
  get wasStale(): boolean {
    return !this.#isFresh && !this.#hasAnswered;
  }

  onceConnected(listener: () => void): void {
    this.#socket.once('connect', listener);
  }

  onceClosed(listener: () => void): void {
    this.#socket.once('close', listener);
  }

  /** Rejects when the answer is not plain, has more than `maxBytes`, or when the connection ends before its end. */
  ask({ method, head, body }: PlainQuestion, maxBytes: number): Promise<PlainAnswer> {
    const answer = Promise.withResolvers<PlainAnswer>();
    const asked: Asked = {
      answer,
      method,
      maxBytes,
      received: NOTHING,
      head: undefined,
      body: NOTHING,
      bodyBytes: 0,
      isRead: true,
      isReusable: false,
    };
    this.#asked = asked;
    this.#hasAnswered = false;
    this.#socket.ref();
    if (!Buffer.isBuffer(body)) {
      this.#socket.write(head, 'latin1');
      return body ? this.#send(asked, body) : answer.promise;
    }
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    this.#socket.write(body);
    this.#socket.uncork();
    return answer.promise;
  }

  /** An answer that comes before all is sent ends the sending; either way the body is let go of first. */
  async #send(asked: Asked, body: SentBody): Promise<PlainAnswer> {
    asked.isRead = false;
    const onRead = (): void => {
      asked.isRead = true;
    };
    const sending = body
      .writeTo(this.#socket, onRead)
      .catch((error: unknown) => this.destroy(error as Error));
    try {
      return await asked.answer.promise;
    } finally {
      await sending;
    }
  }

  destroy(error?: Error): void {
    this.#socket.destroy(error);
  }

  #onBytes(bytes: Buffer): void {
    const asked = this.#asked;
    if (!asked) {
      // Nobody asked for it: what comes next could be taken for an answer.
      this.destroy();
      return;
    }
    this.#hasAnswered = true;
    if (asked.head) this.#onBody(asked, asked.head, bytes);
    else this.#onHead(asked, bytes);
  }

  #onHead(asked: Asked, bytes: Buffer): void {
    const received = asked.received.length === 0 ? bytes : Buffer.concat([asked.received, bytes]);
    const begun = readHead(received, asked.method);
    if (!begun) {
      // `received` may be the memory that everybody reads into.
      asked.received = Buffer.from(received);
      return;
    }
    const { head, rest } = begun;
    if (!head || head.length > asked.maxBytes) {
      this.destroy(new Error(head ? 'the answer is too large' : 'the answer is not plain'));
      return;
    }
    asked.head = head;
    asked.isReusable = head.isReusable;
    asked.body = Buffer.allocUnsafeSlow(head.length);
    this.#onBody(asked, head, rest);
  }

  #onBody(asked: Asked, head: PlainHead, bytes: Buffer): void {
    const { body } = asked;
    // More than was announced: the body is right, but nothing that follows can be trusted.
    if (bytes.length > head.length - asked.bodyBytes) asked.isReusable = false;
    // Answered before it was read to its end: the rest is neither sent nor kept waiting for.
    if (this.isSending) asked.isReusable = false;
    asked.bodyBytes += bytes.copy(body, asked.bodyBytes);
    if (asked.bodyBytes < head.length) return;
    this.#asked = undefined;
    this.#isFresh = false;
    // It is read on, so that its end is noticed, and keeps no process alive.
    this.#socket.unref();
    asked.answer.resolve({ head, body });
    if (asked.isReusable) this.#onFree();
    else this.destroy();
  }
}
