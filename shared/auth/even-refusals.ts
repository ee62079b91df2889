import type { Clock } from '../lifecycle/clock.ts';
import type { Access, AccessPolicy, Principal } from './access.ts';

/** Longer than what is looked up before somebody is refused takes; and short for him who then signs in. */
const STEP_MS = 10;

/**
 * The same policy, which says no at whole steps of time. What a store has is read in another time than what it has not: that
 * must not tell whoever has no rights which of two repositories there is.
 */
export class EvenRefusals implements AccessPolicy {
  readonly #inner: AccessPolicy;
  readonly #clock: Clock;

  constructor(inner: AccessPolicy, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  async allows(principal: Principal, access: Access, signal: AbortSignal): Promise<boolean> {
    const beganMs = this.#clock.monotonicMs();
    if (await this.#inner.allows(principal, access, signal)) return true;
    const spentMs = this.#clock.monotonicMs() - beganMs;
    await this.#clock.sleep(STEP_MS - (spentMs % STEP_MS), signal);
    return false;
  }
}
