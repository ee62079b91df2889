import type { OnReadOpts, Socket } from 'node:net';

import { HandedOver } from './handed-over.ts';
import { LentBody } from './lent-body.ts';
import { type PlainHead, readHead } from './plain-head.ts';

export interface PlainAnswer {
  readonly head: PlainHead;
  readonly body: LentBody;
}

const NOTHING = Buffer.alloc(0);

/** Heads are taken out of it before anything else is read. */
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
  #state: State = { is: 'idle' };
  #received = NOTHING;

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
    return state.is === 'body' && state.body.isToBeRead ? state.body.buffer : headBuffer;
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
        return this.#onBody(bytes, state);
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
        resume: () => void this.#socket.resume(),
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

  #release(): void {
    const state = this.#state;
    this.#state = { is: 'idle' };
    if (state.is !== 'body' || !state.isReusable) {
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
    this.#state = { is: 'idle' };
    const error = this.#socket.errored ?? hangUp();
    if (state.is === 'asked') state.answer.reject(error);
    else if (state.is === 'body') state.body.destroy(error);
  }
}

/** A connection that ended before its answer, as Node's client has it. */
export const hangUp = (): Error =>
  Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
