import type { ByteBudget } from '../../shared/concurrency/byte-budget.ts';
import type { Config } from '../../shared/config/config.ts';
import { withCheckedPulls } from '../../shared/content/checked-pulls.ts';
import { damageReporter } from '../../shared/content/damage.ts';
import { checkStore } from '../../shared/content/store-check.ts';
import { withSmallBlobsInMemory } from '../../shared/content/small-blobs.ts';
import { AbandonedMarks } from '../../shared/content/removal/abandoned-marks.ts';
import { DeletingMarks } from '../../shared/content/removal/deleting-marks.ts';
import { guardedUploads } from '../../shared/content/removal/guarded-uploads.ts';
import { RemovalGuard } from '../../shared/content/removal/removal-guard.ts';
import { hastened, REMOVAL_TIMING } from '../../shared/content/removal/removal-timing.ts';
import { markStore } from '../../shared/content/store-probe.ts';
import type { RedisIndex, RedisIndexOptions } from '../../shared/index/redis/create-redis-index.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import type { Leases } from '../../shared/index/ports.ts';
import { StoreUsageLedger } from '../../shared/management/quotas/store-usage-ledger.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { StoreTraits } from '../../shared/observability/health.ts';
import type { Log, Observer } from '../../shared/observability/observer.ts';
import {
  timedBlobStore,
  timedRecordStore,
  timedUploadStore,
} from '../../shared/observability/timed-stores.ts';
import type { UploadReaper, UploadStore } from '../../shared/storage/upload-store.ts';
import { findStoreTraits } from '../stores/store-traits.ts';
import { openAudit } from './open-audit.ts';
import { openManagement } from './open-management.ts';
import { openIdentities } from '../identities/open-identities.ts';
import type { OpenStores } from '../stores/opened-stores.ts';
import type { Platform } from './platform.ts';
import type { ProgramShare } from '../process/program-share.ts';

/** What every role of the process stands on, and what ends it. */
export interface OpenPlatform {
  readonly platform: Platform;
  /** For the push service alone. */
  readonly uploads: UploadStore & UploadReaper;
  /** For the mirror alone. */
  readonly spoolRoom: ByteBudget;
  /** Among the processes of this program, whether or not there is a Redis. */
  readonly programLeases: Leases;
  /** What does not work at present and is not needed to serve. */
  degraded(): readonly string[];
  /** What the store was found to guarantee; undefined while that is being found out. */
  storeTraits(): StoreTraits | undefined;
  /** Ends every background task. */
  abort(): void;
  close(): Promise<void>;
}

export interface PlatformOptions {
  readonly stores: OpenStores;
  readonly share: ProgramShare;
  readonly clock: Clock;
  readonly log: Log;
  readonly observer: Observer;
  /** Gives up the start. */
  readonly signal: AbortSignal;
}

/**
 * Puts the index over a store that was found usable. Nothing is written to the store before it is known to be one that
 * may be served. Rejects with UnusableStoreError or StorageError.
 */
export async function createPlatform(
  config: Config,
  { stores, share, clock, log, observer, signal }: PlatformOptions,
): Promise<OpenPlatform> {
  const records = timedRecordStore(stores.records, observer, clock);
  await stores.prepare(signal);
  await checkStore(records, signal);
  await markStore(records, signal);
  const shutdown = new AbortController();
  const auditLog = await openAudit(config.auditLog, clock, log);
  const { audit } = auditLog;
  let storeTraits: StoreTraits | undefined;
  // Beside everything else: a start does not wait for it.
  const probing = findStoreTraits(stores.probe, log, shutdown.signal).then((traits) => {
    storeTraits = traits;
  });
  const inner = createStoreIndex(records, clock, share);
  const redis = await openRedisIndex(config, {
    ...{ inner, records, clock, log, observer, shutdown: shutdown.signal },
  });
  const index = redis ?? inner;
  const auth = await openIdentities(config.auth, {
    ...{ records, clock, log, audit, shared: index, lifetime: shutdown.signal },
    exclusive: stores.exclusive,
    role: config.role,
    announce: share.announce,
    publicUrl: config.role === 'push' ? config.pushPublicUrl : undefined,
  }).catch(async (error: unknown) => {
    shutdown.abort();
    await Promise.all([redis?.close(), probing]);
    throw error;
  });
  const onDamage = damageReporter({ log, observer });
  const blobs = withSmallBlobsInMemory(
    withCheckedPulls(timedBlobStore(stores.blobs, observer, clock), {
      clock,
      onDamage: (digest) => onDamage({ kind: 'blob-damaged', digest }),
    }),
    config.memoryCacheBytes / 2,
  );
  const timing = hastened(REMOVAL_TIMING, config.removalHaste);
  const marks = new DeletingMarks({ records, clock, timing, lifetime: shutdown.signal });
  // Beside both roles: a run may have died where no mirror is left.
  const tidying = new AbandonedMarks({ marks, clock, timing }).run(log, shutdown.signal);
  const guard = new RemovalGuard({ blobs, members: index.members, marks, clock, timing });
  return {
    platform: {
      records,
      blobs: guard.blobs,
      links: stores.links,
      index: { ...index, members: guard.members },
      ledgers: {
        sharedLedger: redis?.usage,
        storeLedger: new StoreUsageLedger({
          ...{ records, clock, leases: index.leases, exclusive: stores.exclusive },
        }),
      },
      removal: { marks, timing, blobs, stored: inner },
      ...auth,
      management: openManagement(config, auth, { stores, records, blobs, index, redis, clock }),
      audit,
      clock,
      log,
      observer,
      shutdown: shutdown.signal,
    },
    uploads: guardedUploads(timedUploadStore(stores.uploads, observer, clock), guard),
    spoolRoom: share.spoolRoom,
    programLeases: share.leases,
    degraded: () => [
      ...(redis?.isReachable() === false ? ['redis'] : []),
      ...(auth.tokens?.agreement?.isBroken === true ? ['token-keys'] : []),
    ],
    storeTraits: () => storeTraits,
    abort: () => shutdown.abort(),
    close: async () => {
      await Promise.all([redis?.close(), probing, tidying]);
      auditLog.close();
    },
  };
}

/** Undefined where none is configured. */
async function openRedisIndex(
  { redisUrl: url, indexTrustSeconds: trustSeconds, redisTimeoutMs: commandMs }: Config,
  parts: Omit<RedisIndexOptions, 'url' | 'trustSeconds' | 'commandMs'>,
): Promise<RedisIndex | undefined> {
  if (url === undefined) return undefined;
  // Loaded only where it is used: memory of every process.
  const { createRedisIndex } = await import('../../shared/index/redis/create-redis-index.ts');
  return await createRedisIndex({ ...parts, url, trustSeconds, commandMs });
}
