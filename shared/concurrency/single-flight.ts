/** Joins concurrent calls of one key: the first one's task runs, all get its outcome, and nothing is remembered after. */
export class SingleFlight<Value> {
  readonly #flights = new Map<string, Promise<Value>>();

  /** True while a task of the key runs. */
  isRunning(key: string): boolean {
    return this.#flights.has(key);
  }

  run(key: string, task: () => Promise<Value>): Promise<Value> {
    const running = this.#flights.get(key);
    if (running) return running;
    const flight = task().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }
}

/**
 * The promise's outcome, or the signal's reason as soon as it aborts: who waits may leave while the work goes on.
 * A failure that nobody waits for any more is not an unhandled one.
 */
export async function waitFor<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  promise.catch(() => undefined);
  signal.throwIfAborted();
  let stopListening = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    stopListening = () => {
      signal.removeEventListener('abort', onAbort);
    };
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stopListening();
  }
}
