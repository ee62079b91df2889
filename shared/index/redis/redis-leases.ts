import { randomUUID } from 'node:crypto';

import type { Clock } from '../../lifecycle/clock.ts';
import type { Lease, Leases } from '../ports.ts';
import { leaseKey } from './redis-keys.ts';
import type { RedisScope } from './redis-scope.ts';
import { HOLD_LEASE, RELEASE_LEASE } from './redis-scripts.ts';

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

  async acquire(name: string, waitMs: number, signal: AbortSignal): Promise<Lease | undefined> {
    const untilMs = this.#clock.monotonicMs() + waitMs;
    const own = await this.#inner.acquire(name, waitMs, signal);
    if (!own) return undefined;
    try {
      const token = randomUUID();
      while ((await this.#hold(name, token)) === 'taken') {
        const leftMs = untilMs - this.#clock.monotonicMs();
        if (leftMs <= 0) {
          await own.release();
          return undefined;
        }
        await this.#clock.sleep(Math.min(leftMs, POLL_MS * (1 + Math.random())), signal);
      }
      signal.throwIfAborted();
      return this.#keep(name, token, own);
    } catch (error) {
      await own.release();
      throw error;
    }
  }

  async #hold(name: string, token: string): Promise<'ours' | 'taken' | 'unknown'> {
    const { session, storeId } = this.#scope;
    if (!session || storeId === undefined) return 'unknown';
    const keys = [leaseKey(storeId, name)];
    const answer = await session.run('lease.hold', HOLD_LEASE, keys, [token, LEASE_MS]);
    if (!answer) return 'unknown';
    return answer.value === 1 ? 'ours' : 'taken';
  }

  #keep(name: string, token: string, own: Lease): Lease {
    const lost = new AbortController();
    const released = new AbortController();
    const renewing = this.#renew(name, token, lost, released.signal);
    return {
      lost: lost.signal,
      release: async () => {
        released.abort();
        await renewing;
        const { session, storeId } = this.#scope;
        if (session && storeId !== undefined) {
          await session.run('lease.release', RELEASE_LEASE, [leaseKey(storeId, name)], [token]);
        }
        await own.release();
      },
    };
  }

  async #renew(
    name: string,
    token: string,
    lost: AbortController,
    released: AbortSignal,
  ): Promise<void> {
    try {
      for (;;) {
        await this.#clock.sleep(RENEW_MS, released);
        if ((await this.#hold(name, token)) === 'taken') {
          lost.abort(new Error(`the lease ${name} was lost to another process`));
          return;
        }
      }
    } catch {
      // Released.
    }
  }
}
