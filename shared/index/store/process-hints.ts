import { LRUCache } from 'lru-cache';

import type { Clock } from '../../lifecycle/clock.ts';
import type { SharedHints } from '../ports.ts';

/** Hints are short; this many cost a few megabytes. */
const MAX_HINTS = 10_000;

/** Hints of one process; the least recently used ones go first. */
export class ProcessHints implements SharedHints {
  readonly #values: LRUCache<string, string>;

  constructor(clock: Clock) {
    this.#values = new LRUCache({
      max: MAX_HINTS,
      perf: { now: () => clock.monotonicMs() },
      ttlResolution: 0,
    });
  }

  get(name: string): Promise<string | undefined> {
    return Promise.resolve(this.#values.get(name));
  }

  put(name: string, value: string, ttlMs: number): Promise<void> {
    if (ttlMs > 0) this.#values.set(name, value, { ttl: Math.ceil(ttlMs) });
    else this.#values.delete(name);
    return Promise.resolve();
  }
}
