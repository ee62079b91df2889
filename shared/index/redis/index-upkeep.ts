import type { Clock } from '../../lifecycle/clock.ts';
import type { Log } from '../../observability/observer.ts';
import type { CoherentCache } from './coherent-cache.ts';
import type { DirtyJournal } from './dirty-journal.ts';
import type { RedisClient } from './redis-client.ts';

/** Between two rounds, however long the first of them took. */
const MIN_REST_MS = 50;

export interface UpkeepParts {
  readonly client: RedisClient;
  readonly journal: DirtyJournal;
  readonly cache: CoherentCache;
  readonly clock: Clock;
  readonly log: Log;
  readonly trustMs: number;
}

/**
 * The background task of the index: three times in each trust period, so that a slow listing or a failed one does not
 * end the trust, it lists the journal, asks whether Redis is still the same server, and settles what journal entries
 * and marks are left.
 */
export class IndexUpkeep {
  readonly #parts: UpkeepParts;
  readonly #stop = new AbortController();
  readonly #firstRound = Promise.withResolvers<undefined>();
  #running: Promise<void> | undefined;
  #isListingFailed = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /** Begins; resolves after the first round, whatever came of it. */
  async start(): Promise<void> {
    this.#running ??= this.#run();
    await this.#firstRound.promise;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, trustMs } = this.#parts;
    while (!this.#stop.signal.aborted) {
      const startedAtMs = clock.monotonicMs();
      await this.#round();
      this.#firstRound.resolve(undefined);
      const restMs = Math.max(MIN_REST_MS, startedAtMs + trustMs / 3 - clock.monotonicMs());
      await clock.sleep(restMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #round(): Promise<void> {
    const { client, journal, cache, trustMs } = this.#parts;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(trustMs)]);
    try {
      await journal.refresh(signal);
      this.#tell(undefined);
      await client.session?.verify();
      await cache.settle(signal);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#tell(error);
    }
  }

  #tell(error: unknown): void {
    const isFailed = error !== undefined;
    if (isFailed === this.#isListingFailed) return;
    this.#isListingFailed = isFailed;
    const { log } = this.#parts;
    if (!isFailed) {
      log.info({}, 'the journal of the index is read again');
      return;
    }
    const reason = error instanceof Error ? error.message : 'unknown';
    log.warn({ reason }, 'the journal of the index cannot be read: answers come from the store');
  }
}
