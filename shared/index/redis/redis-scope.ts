import type { RedisSession } from './redis-session.ts';

/** Redis as it is at this moment, for what needs no coherence: leases and hints. */
export interface RedisScope {
  /** Undefined while Redis is not reachable. */
  readonly session: RedisSession | undefined;
  /** Undefined while the id of the store is not known. */
  readonly storeId: string | undefined;
}
