import type { OnReadOpts, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import { HandedOver } from './handed-over.ts';
import { LentBody } from './lent-body.ts';
import { type PlainHead, readHead } from './plain-head.ts';

export interface PlainAnswer {
  readonly head: PlainHead;
  readonly body: LentBody;
}

const NOTHING = Buffer.alloc(0);

/** Heads, and what TLS has decrypted, are taken out of it before anything else is read. */
const headBuffer = Buffer.allocUnsafeSlow(64 * 1024);

type State =
  | { readonly is: 'idle' }
  | { readonly is: 'asked'; readonly answer: PromiseWithResolvers<PlainAnswer | HandedOver> }
  | { readonly is: 'body'; readonly body: LentBody; readonly isReusable: boolean }
  | { readonly is: 'handed-over'; readonly to: HandedOver };

/**
 * A connection for one GET after the other, which reads bodies into memory that is used again. Node's own
 * client copies each piece of a body into fresh memory, which costs several times the reading itself. It knows plain
 * answers alone (see parsePlainHead) and hands the connection over when another one begins.
 */
export class PullConnection {
  readonly #socket: Socket;
  readonly #onFree: () => void;
  readonly #isTls: boolean;
  #state: State = { is: 'idle' };
  #received = NOTHING;
  /** Of the body that comes, what was decrypted before it was wanted. */
  readonly #early: Buffer[] = [];

  /**
   * `open` connects; what is read goes where it is told. The socket's errors are met here. `onFree` is told each time
   * when it can be asked again.
   */
  constructor(open: (onread: OnReadOpts) => Socket, onFree: () => void) {
    this.#onFree = onFree;
    const onread: OnReadOpts = {
      buffer: () => this.#nextBuffer(),
      callback: (bytes, buffer) => this.#onBytes((buffer as Buffer).subarray(0, bytes)),
    };
    this.#socket = open(onread);
    this.#isTls = this.#socket instanceof TLSSocket;
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', () => this.#onClose());
  }

  get isConnecting(): boolean {
    return this.#socket.connecting;
  }

  get isUsable(): boolean {
    return this.#state.is === 'idle' && !this.#socket.destroyed && this.#socket.writable;
  }

  /** All that has been received by it. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  onceConnected(listener: () => void): void {
    this.#socket.once('connect', listener);
  }

  onceClosed(listener: () => void): void {
    this.#socket.once('close', listener);
  }

  /** Sends a request. Rejects when the connection ends before there is a whole head of an answer. */
  ask(request: string): Promise<PlainAnswer | HandedOver> {
    const answer = Promise.withResolvers<PlainAnswer | HandedOver>();
    this.#state = { is: 'asked', answer };
    this.#socket.ref();
    this.#socket.write(request, 'latin1');
    return answer.promise;
  }

  destroy(error?: Error): void {
    this.#socket.destroy(error);
  }

  #nextBuffer(): Buffer {
    const state = this.#state;
    const isInPlace = !this.#isTls && state.is === 'body' && state.body.isToBeRead;
    return isInPlace ? state.body.buffer : headBuffer;
  }

  /** False: nothing more shall be read for now. */
  #onBytes(bytes: Buffer): boolean {
    const state = this.#state;
    switch (state.is) {
      case 'idle':
        // Nobody asked for it: what comes next could be taken for an answer.
        this.destroy();
        return false;
      case 'asked':
        return this.#onHead(bytes, state.answer);
      case 'body':
        return this.#isTls ? this.#onDecrypted(bytes, state) : this.#onBody(bytes, state);
      case 'handed-over':
        return state.to.push(Buffer.from(bytes));
    }
  }

  #onHead(bytes: Buffer, answer: PromiseWithResolvers<PlainAnswer | HandedOver>): boolean {
    const received = Buffer.concat([this.#received, bytes]);
    const begun = readHead(received);
    if (!begun) {
      this.#received = received;
      return true;
    }
    this.#received = NOTHING;
    const { head, rest } = begun;
    if (!head) {
      const to = new HandedOver(this.#socket, received);
      this.#state = { is: 'handed-over', to };
      answer.resolve(to);
      return false;
    }
    const isReusable = head.isReusable && rest.length <= head.length;
    const body = new LentBody(
      {
        resume: () => this.#resume(),
        release: () => this.#release(),
        destroy: () => this.destroy(),
      },
      head.length,
      rest.subarray(0, head.length),
    );
    this.#state = { is: 'body', body, isReusable };
    answer.resolve({ head, body });
    if (head.length > 0) return false;
    this.#release();
    return true;
  }

  #onBody(bytes: Buffer, { body }: Extract<State, { is: 'body' }>): boolean {
    const { missing } = body;
    // More than was announced: the body is right, but nothing that follows can be trusted.
    if (bytes.length > missing) this.#state = { is: 'body', body, isReusable: false };
    const wantsMore = body.feed(bytes.length > missing ? bytes.subarray(0, missing) : bytes);
    return wantsMore || this.#state.is !== 'body';
  }

  /** Node hands over what is decrypted already also after it was told to stop: that waits here. */
  #onDecrypted(bytes: Buffer, state: Extract<State, { is: 'body' }>): boolean {
    if (state.body.isWaiting && this.#early.length === 0) return this.#onCopy(bytes, state);
    this.#early.push(Buffer.from(bytes));
    return false;
  }

  /** The body gets the bytes where it wants them, as if they had been read there. */
  #onCopy(bytes: Buffer, state: Extract<State, { is: 'body' }>): boolean {
    const { buffer } = state.body;
    const length = bytes.copy(buffer);
    if (length < bytes.length) this.#early.unshift(Buffer.from(bytes.subarray(length)));
    return this.#onBody(buffer.subarray(0, length), state) && this.#early.length === 0;
  }

  #resume(): void {
    for (
      let state = this.#state;
      state.is === 'body' && state.body.isWaiting;
      state = this.#state
    ) {
      const early = this.#early.shift();
      if (!early) {
        this.#socket.resume();
        return;
      }
      this.#onCopy(early, state);
    }
  }

  #release(): void {
    const state = this.#state;
    this.#state = { is: 'idle' };
    // What nobody asked for came behind the body.
    const isClean = this.#early.splice(0).length === 0;
    if (state.is !== 'body' || !state.isReusable || !isClean) {
      this.destroy();
      return;
    }
    // Idle connections are read, so that their end is noticed, and keep no process alive.
    this.#socket.resume();
    this.#socket.unref();
    this.#onFree();
  }

  #onClose(): void {
    const state = this.#state;
    if (state.is === 'body') {
      const earlyBytes = this.#early.reduce((sum, { length }) => sum + length, 0);
      if (earlyBytes > 0 && earlyBytes >= state.body.missing) {
        // All of it has come; it is handed on as it is wanted.
        this.#state = { ...state, isReusable: false };
        return;
      }
    }
    this.#state = { is: 'idle' };
    const error = this.#socket.errored ?? hangUp();
    if (state.is === 'asked') state.answer.reject(error);
    else if (state.is === 'body') state.body.destroy(error);
  }
}

/** A connection that ended before its answer, as Node's client has it. */
export const hangUp = (): Error =>
  Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
