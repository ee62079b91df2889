import { LRUCache } from 'lru-cache';

import { SingleFlight } from '../../../shared/concurrency/single-flight.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { found, type Outcome } from './outcome.ts';

/** What a token service gave. */
export interface IssuedToken {
  readonly value: string;
  readonly lifeSeconds: number;
}

interface CachedToken {
  readonly value: string;
  readonly renewAtMs: number;
  readonly expiresAtMs: number;
}

const MAX_TOKENS = 2_000;
/** Token services are rate limited too (harbor#23750); this much of a life is used before the next is fetched. */
const USED_SHARE = 0.8;

/** Tokens of one upstream, by credential identity and scope. Concurrent callers share one fetch. */
export class TokenCache {
  readonly #tokens = new LRUCache<string, CachedToken>({ max: MAX_TOKENS });
  readonly #flights = new SingleFlight<Outcome<string>>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A token not yet due for renewal; otherwise `issue` is asked, and an older one still valid stands in if it fails. */
  get(key: string, issue: () => Promise<Outcome<IssuedToken>>): Promise<Outcome<string>> {
    const cached = this.#tokens.get(key);
    if (cached && this.#clock.monotonicMs() < cached.renewAtMs) {
      return Promise.resolve(found(cached.value));
    }
    return this.#flights.run(key, async () => {
      const outcome = await issue();
      const nowMs = this.#clock.monotonicMs();
      if (outcome.kind === 'found') {
        const { value, lifeSeconds } = outcome.value;
        this.#tokens.set(key, {
          value,
          renewAtMs: nowMs + lifeSeconds * 1000 * USED_SHARE,
          expiresAtMs: nowMs + lifeSeconds * 1000,
        });
        return found(value);
      }
      const isNoAnswer = outcome.kind === 'limited' || outcome.kind === 'unavailable';
      return isNoAnswer && cached && nowMs < cached.expiresAtMs ? found(cached.value) : outcome;
    });
  }

  /** Forgets a token that the upstream refused, unless another took its place meanwhile. */
  drop(key: string, value: string): void {
    if (this.#tokens.peek(key)?.value === value) this.#tokens.delete(key);
  }
}
