import { waitFor } from './single-flight.ts';

interface Joined<Value> {
  readonly outcome: Promise<Value>;
  readonly end: AbortController;
  waiting: number;
}

/** Joins concurrent calls of one key, as SingleFlight does, for work that shall end when nobody waits for it any more. */
export class JoinedWork<Value> {
  readonly #running = new Map<string, Joined<Value>>();

  /**
   * The outcome of the first one's task, which gets a signal that aborts when all who waited have left; the signal's
   * reason as soon as that aborts.
   */
  async run(
    key: string,
    signal: AbortSignal,
    task: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value> {
    signal.throwIfAborted();
    const joined = this.#running.get(key) ?? this.#begin(key, task);
    joined.waiting += 1;
    try {
      return await waitFor(joined.outcome, signal);
    } finally {
      joined.waiting -= 1;
      if (joined.waiting === 0) {
        this.#forget(key, joined);
        joined.end.abort(new Error('nobody waits any more'));
      }
    }
  }

  #begin(key: string, task: (signal: AbortSignal) => Promise<Value>): Joined<Value> {
    const end = new AbortController();
    const joined = { outcome: task(end.signal), end, waiting: 0 };
    this.#running.set(key, joined);
    const forget = (): void => this.#forget(key, joined);
    joined.outcome.then(forget, forget);
    return joined;
  }

  /** Whoever comes then begins anew. */
  #forget(key: string, joined: Joined<Value>): void {
    if (this.#running.get(key) === joined) this.#running.delete(key);
  }
}
