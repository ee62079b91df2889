import type { Leases, SharedHints } from '../../../shared/index/ports.ts';
import type { BlobStore } from '../../../shared/storage/blob-store.ts';
import type { CacheEviction, CacheEvictionOptions } from './cache-eviction.ts';
import { withPut } from '../../../shared/storage/with-put.ts';

const TICK_MS = 30_000;
/** So much of a budget newly stored is looked at before its time. */
const EARLY_PART = 0.02;
/** Tells the other mirrors, where hints are shared, that the cache was looked through. */
const LOOKED = 'cache-eviction';

export interface CacheUpkeepOptions extends Pick<
  CacheEvictionOptions,
  'clock' | 'log' | 'observer' | 'config'
> {
  readonly eviction: Pick<CacheEviction, 'budgets' | 'run'>;
  readonly leases: Leases;
  readonly hints: SharedHints;
}

/** Evicts from time to time, on one mirror at a time where they can agree. */
export class CacheUpkeep {
  readonly #options: CacheUpkeepOptions;
  #storedBytes = 0;
  #ranAtMs = -Infinity;

  constructor(options: CacheUpkeepOptions) {
    this.#options = options;
  }

  /** The store, whose new bytes bring the next run forward. */
  counting(blobs: BlobStore): BlobStore {
    return withPut(blobs, async (digest, body, size, signal) => {
      const stored = await blobs.put(digest, body, size, signal);
      this.#storedBytes += stored.size;
      return stored;
    });
  }

  /** Until the signal aborts; what fails is logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (;;) {
      try {
        await clock.sleep(TICK_MS, signal);
        if (await this.#isDue()) await this.#evictAlone(signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ operation: 'cache.evict', err: error }, 'evicting cached images failed');
      }
    }
  }

  async #isDue(): Promise<boolean> {
    const { eviction, config, clock, hints } = this.#options;
    const budgets = eviction.budgets.map(({ maxBytes }) => maxBytes);
    if (budgets.length === 0) return false;
    if (this.#storedBytes > Math.min(...budgets) * EARLY_PART) return true;
    const isTime = clock.monotonicMs() - this.#ranAtMs >= config.intervalSeconds * 1000;
    return isTime && (await hints.get(LOOKED).catch(() => undefined)) === undefined;
  }

  async #evictAlone(signal: AbortSignal): Promise<void> {
    const { eviction, leases, hints, config, clock, observer } = this.#options;
    const lease = await leases.acquire('cache-eviction', 0, signal);
    if (!lease) return;
    const storedBytes = this.#storedBytes;
    this.#ranAtMs = clock.monotonicMs();
    observer.eviction({ kind: 'began' });
    let isFault = true;
    try {
      await eviction.run(AbortSignal.any([signal, lease.lost]));
      isFault = false;
      // A run that fails takes nobody's turn, and what was stored before it is still to be looked at.
      this.#storedBytes -= storedBytes;
      await hints.put(LOOKED, '1', config.intervalSeconds * 900).catch(() => undefined);
    } finally {
      observer.eviction({ kind: 'ended', at: clock.now(), isFault });
      await lease.release();
    }
  }
}
