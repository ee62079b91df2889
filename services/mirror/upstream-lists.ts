import { LRUCache } from 'lru-cache';

import { SingleFlight, waitFor } from '../../shared/concurrency/single-flight.ts';
import { within } from '../../shared/concurrency/within.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { type Outcome, unavailable } from './upstream/outcome.ts';

/** After a failure the upstream is left alone about this list for so long. */
const FAILURE_PAUSE_MS = 10_000;
/** Clients get what is held when a list takes longer; the question goes on, for the next ones. */
const BUDGET_MS = 10_000;
const LATE = unavailable('timeout', 'the upstream takes long to list what it has');

/** What is never remembered: it may be another one the next time. */
const STATEMENTS: ReadonlySet<string> = new Set(['not-found', 'denied', 'blocked']);

interface Listed<Value> {
  readonly outcome: Outcome<Value>;
  readonly untilMs: number;
}

/**
 * Lists of upstreams, each asked for once by all who want it and remembered as long as its tags are. Bounded by the
 * bytes of the lists; what is forgotten is asked for again.
 */
export class UpstreamLists<Value extends object> {
  readonly #clock: Clock;
  readonly #flights = new SingleFlight<Outcome<Value>>();
  readonly #known: LRUCache<string, Listed<Value>>;

  constructor(clock: Clock, maxBytes: number, bytesOf: (list: Value) => number) {
    this.#clock = clock;
    this.#known = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ outcome }) =>
        256 + (outcome.kind === 'found' ? bytesOf(outcome.value) : 0),
    });
  }

  async get(
    key: string,
    lifeSeconds: number,
    ask: () => Promise<Outcome<Value>>,
    signal: AbortSignal,
  ): Promise<Outcome<Value>> {
    const known = this.#known.get(key);
    if (known && known.untilMs > this.#clock.monotonicMs()) return known.outcome;
    const flight = this.#flights.run(key, async () => {
      const outcome = await ask();
      const lifeMs = outcome.kind === 'found' ? lifeSeconds * 1000 : FAILURE_PAUSE_MS;
      const isStatement = STATEMENTS.has(outcome.kind);
      if (lifeMs > 0 && !isStatement) {
        this.#known.set(key, { outcome, untilMs: this.#clock.monotonicMs() + lifeMs });
      }
      return outcome;
    });
    return (await waitFor(within(flight, BUDGET_MS, this.#clock), signal)) ?? LATE;
  }
}
