import { LRUCache } from 'lru-cache';

import type { Clock } from '../../shared/lifecycle/clock.ts';

/** Long enough for a fleet that asks at once, short enough for who pushes and then pulls. */
const LIFE_MS = 10_000;
const MAX_NAMES = 10_000;

/**
 * What an upstream has said it does not have, by 404 alone: a denial, a limit or a failure is never kept. Looked at
 * after what is held, so that what came into the store meanwhile is found.
 */
export class KnownAbsent {
  readonly #names: LRUCache<string, true>;

  constructor(clock: Clock) {
    this.#names = new LRUCache({
      max: MAX_NAMES,
      ttl: LIFE_MS,
      perf: { now: () => clock.monotonicMs() },
      ttlResolution: 0,
    });
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  add(name: string): void {
    this.#names.set(name, true);
  }

  delete(name: string): void {
    this.#names.delete(name);
  }
}
