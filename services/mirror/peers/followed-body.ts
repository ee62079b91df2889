import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

import type { Clock } from '../../../shared/lifecycle/clock.ts';

/** The blob's bytes in the answer of another process, whose end comes later: when that process has stored the blob. */
export class FollowedBody extends Readable {
  /** Resolves with the end of the answer, however it came to that. */
  readonly over: Promise<void>;
  readonly #response: IncomingMessage;
  readonly #clock: Clock;
  #missingBytes: number;
  #lastMs: number;

  constructor(response: IncomingMessage, bytes: number, clock: Clock) {
    super();
    this.#response = response;
    this.#clock = clock;
    this.#missingBytes = bytes;
    this.#lastMs = clock.monotonicMs();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.over = promise;
    response.on('data', (chunk: Buffer) => this.#take(chunk));
    response.on('error', () => undefined);
    response.once('close', () => {
      if (this.#missingBytes > 0) this.destroy(new Error('the replica that is followed broke off'));
      resolve(undefined);
    });
    if (bytes === 0) this.push(null);
    // Whoever reads it meets the error; nobody may be there yet.
    this.on('error', () => undefined);
  }

  /** How long the other process has owed bytes that are wanted. */
  idleMs(): number {
    return this.#response.isPaused() ? 0 : this.#clock.monotonicMs() - this.#lastMs;
  }

  override _read(): void {
    if (this.#response.isPaused()) this.#lastMs = this.#clock.monotonicMs();
    this.#response.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#missingBytes > 0) this.#response.destroy();
    done(error);
  }

  #take(chunk: Buffer): void {
    if (this.destroyed || this.#missingBytes === 0) return;
    this.#lastMs = this.#clock.monotonicMs();
    if (chunk.length > this.#missingBytes) {
      this.destroy(new Error('the replica that is followed sent more than it announced'));
      return;
    }
    this.#missingBytes -= chunk.length;
    if (!this.push(chunk)) this.#response.pause();
    if (this.#missingBytes > 0) return;
    this.push(null);
    this.#response.resume();
  }
}
