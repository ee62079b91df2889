import type { Clock } from '../../lifecycle/clock.ts';

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #ms = 1_000_000;
  readonly #sleepers = new Set<{ readonly untilMs: number; wake(): void }>();

  now(): Date {
    return new Date(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  /** How many wait. */
  get sleepers(): number {
    return this.#sleepers.size;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const slept = Promise.withResolvers<undefined>();
    const sleeper = {
      untilMs: this.#ms + ms,
      wake: () => {
        slept.resolve(undefined);
      },
    };
    const onAbort = (): void => {
      slept.reject(signal.reason);
    };
    this.#sleepers.add(sleeper);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await slept.promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal.removeEventListener('abort', onAbort);
    }
  }

  advance(ms: number): void {
    this.#ms += ms;
    for (const sleeper of this.#sleepers) if (sleeper.untilMs <= this.#ms) sleeper.wake();
  }
}
