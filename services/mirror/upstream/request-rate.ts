import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { routedUpstream, type Upstream } from './routed-upstream.ts';

/** Nobody waits longer for a turn: who asks then is told when to come again. */
const MAX_WAIT_MS = 5_000;

/** A bucket of turns that fills at a steady rate and holds those of one second, at least one. */
export class RequestRate {
  readonly #intervalMs: number;
  readonly #capacityMs: number;
  readonly #clock: Clock;
  /** When the bucket will be full, were nobody to come. */
  #fullAtMs = -Infinity;

  constructor(perSecond: number, clock: Clock) {
    this.#intervalMs = 1000 / perSecond;
    this.#capacityMs = Math.max(1000, this.#intervalMs);
    this.#clock = clock;
  }

  /** How long to wait for the turn that is taken by this; more than `maxMs`: none is taken. */
  take(maxMs: number): number {
    const nowMs = this.#clock.monotonicMs();
    const next = Math.max(this.#fullAtMs, nowMs) + this.#intervalMs;
    const waitMs = Math.max(0, next - nowMs - this.#capacityMs);
    if (waitMs <= maxMs) this.#fullAtMs = next;
    return waitMs;
  }
}

/** The upstream at no more than its rate. Who would wait too long is told so, and the upstream is not asked. */
export function withRate(
  client: Upstream,
  rate: RequestRate,
  clock: Clock,
  lifetime: AbortSignal,
): Upstream {
  return routedUpstream(async (_, ask) => {
    const waitMs = rate.take(MAX_WAIT_MS);
    if (waitMs > MAX_WAIT_MS) {
      return { kind: 'limited', retryAfterSeconds: Math.ceil(waitMs / 1000) };
    }
    if (waitMs > 0) await clock.sleep(waitMs, lifetime);
    return ask(client);
  });
}
