import type { Clock } from '../../lifecycle/clock.ts';
import type { Log, Observer } from '../../observability/observer.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { RegistryIndex } from '../ports.ts';
import type { UsageLedger } from '../usage-ledger.ts';
import { CoherentCache } from './coherent-cache.ts';
import { DirtyJournal } from './dirty-journal.ts';
import { type IndexTiming, indexTiming } from './index-timing.ts';
import { IndexUpkeep } from './index-upkeep.ts';
import { RedisClient } from './redis-client.ts';
import { RedisEpoch } from './redis-epoch.ts';
import { RedisHints } from './redis-hints.ts';
import { RedisLeases } from './redis-leases.ts';
import { RedisManifestTypeIndex } from './redis-manifest-type-index.ts';
import { RedisMembershipIndex } from './redis-membership-index.ts';
import { RedisOriginIndex } from './redis-origin-index.ts';
import { RedisProjectIndex } from './redis-project-index.ts';
import { RedisReferrerIndex } from './redis-referrer-index.ts';
import type { RedisScope } from './redis-scope.ts';
import { RedisTagIndex } from './redis-tag-index.ts';
import { RedisUsageLedger } from './redis-usage-ledger.ts';

/** How long the start waits for Redis and the journal, so that the first request finds them. */
const START_PATIENCE_MS = 2_000;

export interface RedisIndexOptions {
  readonly url: string;
  /** The index over the same store that answers without Redis. */
  readonly inner: RegistryIndex;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly observer: Observer;
  /** How old an answer may be while a writer is cut off from Redis; the same for all processes over the store. */
  readonly trustSeconds: number;
  /** What one command of Redis may take; 50 ms without it. */
  readonly commandMs?: number;
  /** Closes the index. What is asked of it later is answered by the store; what is written leaves a journal entry. */
  readonly shutdown: AbortSignal;
  /** For tests that cannot wait. */
  readonly timing?: Partial<IndexTiming>;
}

export interface RedisIndex extends RegistryIndex {
  readonly usage: UsageLedger;
  /** True while commands are sent to Redis. */
  isReachable(): boolean;
  /** Makes every kept answer cold for all processes. False when Redis did not answer; ask again then. */
  forgetAll(): Promise<boolean>;
  /** Ends background work and the connection. Idempotent. */
  close(): Promise<void>;
}

/**
 * The index of the store with its answers kept in Redis: see coherent-cache.ts for what it guarantees. Starts with
 * Redis down and uses it when it comes. All processes over one store must share one Redis, or have none.
 *
 * The catalog is not kept: whether a repository came into being or vanished cannot be told from the link that is
 * written without a second look at the store, so it is walked for each request.
 */
export async function createRedisIndex(options: RedisIndexOptions): Promise<RedisIndex> {
  const { url, inner, records, clock, log, observer, shutdown } = options;
  const timing = { ...indexTiming(options.trustSeconds, options.commandMs), ...options.timing };
  const client = new RedisClient({ url, clock, log, observer, commandMs: timing.commandMs });
  const journal = new DirtyJournal(records, clock, timing);
  const cache = new CoherentCache(new RedisEpoch(client), journal, clock, timing);
  const upkeep = new IndexUpkeep({ client, journal, cache, clock, log, trustMs: timing.trustMs });
  const scope: RedisScope = {
    get session() {
      return client.session;
    },
    get storeId() {
      return journal.trustedStoreId;
    },
  };
  const close = async (): Promise<void> => {
    shutdown.removeEventListener('abort', onShutdown);
    await upkeep.close();
    await client.close();
  };
  const onShutdown = (): void => void close();
  shutdown.addEventListener('abort', onShutdown);
  if (!shutdown.aborted) await startWithin(START_PATIENCE_MS, [client.start(), upkeep.start()]);
  return {
    tags: new RedisTagIndex(inner.tags, cache),
    members: new RedisMembershipIndex(inner.members, cache),
    referrers: new RedisReferrerIndex(inner.referrers, cache),
    catalog: inner.catalog,
    projects: new RedisProjectIndex(inner.projects, cache),
    origins: new RedisOriginIndex(inner.origins, cache),
    manifestTypes: new RedisManifestTypeIndex(inner.manifestTypes, cache),
    leases: new RedisLeases(inner.leases, scope, clock),
    hints: new RedisHints(inner.hints, scope),
    usage: new RedisUsageLedger(scope),
    isReachable: () => client.session !== undefined,
    forgetAll: () => cache.forgetAll(),
    close,
  };
}

async function startWithin(ms: number, starting: readonly Promise<void>[]): Promise<void> {
  const patience = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => {
    patience.resolve(undefined);
  }, ms);
  await Promise.race([Promise.all(starting), patience.promise]);
  clearTimeout(timer);
}
