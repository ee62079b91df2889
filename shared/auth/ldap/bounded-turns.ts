import pLimit from 'p-limit';

/** So many at once, so many more in line, and whoever comes then is turned away at once. */
export class BoundedTurns {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #waiting: number;

  constructor({ running, waiting }: { readonly running: number; readonly waiting: number }) {
    this.#limit = pLimit(running);
    this.#waiting = waiting;
  }

  /** Throws when the line is full, or with the signal's reason when it aborts before the turn has come. */
  async run<Value>(signal: AbortSignal, work: () => Promise<Value>): Promise<Value> {
    if (this.#limit.pendingCount >= this.#waiting) throw new Error('too many are waiting already');
    const given = Promise.withResolvers<never>();
    const give = (): void => given.reject(signal.reason as Error);
    given.promise.catch(() => undefined);
    signal.addEventListener('abort', give, { once: true });
    const turn = this.#limit(async () => {
      signal.throwIfAborted();
      return await work();
    });
    turn.catch(() => undefined);
    try {
      return await Promise.race([turn, given.promise]);
    } finally {
      signal.removeEventListener('abort', give);
    }
  }
}
