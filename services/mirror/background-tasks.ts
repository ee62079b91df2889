import type { Log } from '../../shared/observability/observer.ts';

/** Work that no request waits for. Its failures are logged, and its end is waited for at the end of the process. */
export class BackgroundTasks {
  readonly #running = new Set<Promise<void>>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `operation` names the work in the log. */
  run(operation: string, task: () => Promise<unknown>): void {
    const running = task()
      .then(
        () => undefined,
        (error: unknown) => {
          this.#log.warn({ operation, err: error }, 'a background task failed');
        },
      )
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
