import { randomUUID } from 'node:crypto';

import type { Clock } from '../../lifecycle/clock.ts';
import type { Lease, LeaseReach, Leases, LeaseTerms } from '../ports.ts';
import { leaseKey } from './redis-keys.ts';
import type { RedisScope } from './redis-scope.ts';
import { GET_HINT, HOLD_LEASE, RELEASE_LEASE } from './redis-scripts.ts';

/** A lease whose holder died or hangs is free after this. */
const LEASE_MS = 10_000;
/** Three renewals may fail in a row before another can take it. */
const RENEW_MS = 2_500;
/** How often a waiting process asks, with up to as much more at random. */
const POLL_MS = 25;

/**
 * Leases among all processes that share the store and its Redis: first the lease of this process (so that its own
 * tasks queue up in order and only one of them asks Redis), then a token in Redis that is renewed while it is held.
 *
 * While Redis is not reachable the lease of the process is all there is, and two processes may hold one name at once;
 * who held it before keeps it. When Redis is back the holder takes its token up again, or learns by `lost` that
 * another holds the name now: so does a holder that was stopped for longer than the lease lasts.
 */
export class RedisLeases implements Leases {
  readonly #inner: Leases;
  readonly #scope: RedisScope;
  readonly #clock: Clock;

  constructor(inner: Leases, scope: RedisScope, clock: Clock) {
    this.#inner = inner;
    this.#scope = scope;
    this.#clock = clock;
  }

  async acquire(
    name: string,
    waitMs: number,
    signal: AbortSignal,
    terms: LeaseTerms = { claim: randomUUID() },
  ): Promise<Lease | undefined> {
    const untilMs = this.#clock.monotonicMs() + waitMs;
    const own = await this.#inner.acquire(name, waitMs, signal, terms);
    if (!own) return undefined;
    try {
      let answer = await this.#hold(name, terms);
      while (answer === 'taken') {
        const leftMs = untilMs - this.#clock.monotonicMs();
        if (leftMs <= 0) {
          await own.release();
          return undefined;
        }
        await this.#clock.sleep(Math.min(leftMs, POLL_MS * (1 + Math.random())), signal);
        answer = await this.#hold(name, terms);
      }
      signal.throwIfAborted();
      return this.#keep(name, terms.claim, own, answer === 'ours' ? 'store' : own.reach);
    } catch (error) {
      await own.release();
      throw error;
    }
  }

  async holder(name: string): Promise<string | undefined> {
    const { session, storeId } = this.#scope;
    if (session && storeId !== undefined) {
      const answer = await session.run('lease.holder', GET_HINT, [leaseKey(storeId, name)], []);
      if (typeof answer?.value === 'string') return answer.value;
    }
    return await this.#inner.holder(name);
  }

  async #hold(
    name: string,
    { claim, insteadOf = '' }: LeaseTerms,
  ): Promise<'ours' | 'taken' | 'unknown'> {
    const { session, storeId } = this.#scope;
    if (!session || storeId === undefined) return 'unknown';
    const keys = [leaseKey(storeId, name)];
    const answer = await session.run('lease.hold', HOLD_LEASE, keys, [claim, LEASE_MS, insteadOf]);
    if (!answer) return 'unknown';
    return answer.value === 1 ? 'ours' : 'taken';
  }

  #keep(name: string, claim: string, own: Lease, reach: LeaseReach): Lease {
    const lost = new AbortController();
    const released = new AbortController();
    own.lost.addEventListener('abort', () => lost.abort(own.lost.reason), {
      signal: released.signal,
    });
    const renewing = this.#renew(name, claim, lost, released.signal);
    return {
      reach,
      lost: lost.signal,
      release: async () => {
        released.abort();
        await renewing;
        const { session, storeId } = this.#scope;
        if (session && storeId !== undefined) {
          await session.run('lease.release', RELEASE_LEASE, [leaseKey(storeId, name)], [claim]);
        }
        await own.release();
      },
    };
  }

  async #renew(
    name: string,
    claim: string,
    lost: AbortController,
    released: AbortSignal,
  ): Promise<void> {
    try {
      for (;;) {
        await this.#clock.sleep(RENEW_MS, released);
        if ((await this.#hold(name, { claim })) === 'taken') {
          lost.abort(new Error(`the lease ${name} was lost to another process`));
          return;
        }
      }
    } catch {
      // Released.
    }
  }
}
