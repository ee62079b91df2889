import { Redis } from 'ioredis';

import type { RegistryIndex } from '../../shared/index/ports.ts';
import { createRedisIndex, type RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import type { IndexTiming } from '../../shared/index/redis/index-timing.ts';
import { readStoreId } from '../../shared/index/redis/store-identity.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { digestOfText, newRepository } from '../../shared/index/testing/index-names.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type Log, type Observer, UNOBSERVED } from '../../shared/observability/observer.ts';
import { FilesystemRecordStore } from '../../shared/storage/filesystem/filesystem-record-store.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import { startRedis, type RedisServer } from './start-redis.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';
import { waitFor } from './wait-for.ts';

export interface LabOptions {
  readonly timing?: Partial<IndexTiming>;
  /** True: the index is not made warm for every replica that starts. */
  readonly isCold?: boolean;
  readonly redisArgs?: readonly string[];
}

interface ReplicaOptions {
  /** Another way to Redis, or no Redis at all. */
  readonly url?: string;
  /** Another way to the store. */
  readonly records?: RecordStore;
  readonly timing?: Partial<IndexTiming>;
  /** False for a replica that does not come to use Redis; without it, one that has a `url` of its own does not. */
  readonly isAwaited?: boolean;
}

/** One line of the log. */
interface LogLine {
  readonly level: 'info' | 'warn' | 'error' | 'debug';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** Several replicas of the index over one store of files and one Redis of their own. */
export interface IndexLab {
  readonly folder: string;
  readonly records: RecordStore;
  readonly redis: RedisServer;
  /** What the store alone answers. */
  readonly truth: RegistryIndex;
  readonly log: readonly LogLine[];
  /** Operations of Redis that replicas reported, in order. */
  readonly operations: readonly string[];
  /** Starts a replica, waits until it uses Redis and makes the index warm. */
  replica(options?: ReplicaOptions): Promise<RedisIndex>;
  /** Makes an epoch that was begun so old that answers are kept, as it is some time after a start. */
  warm(): Promise<void>;
  /** Resolves when the replica sends commands to Redis. */
  reachable(replica: RedisIndex): Promise<void>;
  /** A client beside the replicas, to look at what stands in Redis. */
  client(): Redis;
  close(): Promise<void>;
}

export const TRUST_SECONDS = 1;
/** On a busy machine Redis answers later than is worth waiting for elsewhere. */
const BUSY = { commandMs: 500 };
/** For tests in which Redis and the store always answer, on a machine however busy. */
export const PATIENT = { commandMs: 5_000, trustMs: 20_000 };

/** Idempotent `close`; the Redis is always a process of the lab, which tests may stop, hang and flush. */
export async function createIndexLab(options: LabOptions = {}): Promise<IndexLab> {
  const folder = makeTempFolder('index');
  const records = new FilesystemRecordStore(folder);
  const redis = await startRedis({ own: true, args: options.redisArgs ?? [] });
  const shutdown = new AbortController();
  // Replicas that make it at once differ until their next listing. The cold time, which `warm` ends, outlasts that.
  await readStoreId(records, shutdown.signal);
  const log: LogLine[] = [];
  const operations: string[] = [];
  const clients: Redis[] = [];
  const replicas: RedisIndex[] = [];
  let isClosed = false;
  const newClient = (): Redis => {
    const client = new Redis(redis.url, { maxRetriesPerRequest: 1 });
    clients.push(client);
    return client;
  };
  let warming: Redis | undefined;
  const warm = async (): Promise<void> => {
    warming ??= newClient();
    const client = warming;
    for (const key of await client.keys('twinport:*:epoch')) await client.hset(key, 'born', 0);
  };
  return {
    folder,
    records,
    redis,
    truth: createStoreIndex(records, systemClock),
    log,
    operations,
    replica: async ({
      url,
      records: way = records,
      timing,
      isAwaited = url === undefined,
    } = {}) => {
      const own: string[] = [];
      const replica = await createRedisIndex({
        url: url ?? redis.url,
        inner: createStoreIndex(way, systemClock),
        records: way,
        clock: systemClock,
        log: collectingLog(log),
        observer: collectingObserver([own, operations]),
        trustSeconds: TRUST_SECONDS,
        shutdown: shutdown.signal,
        timing: { ...BUSY, ...options.timing, ...timing },
      });
      replicas.push(replica);
      if (!isAwaited) return replica;
      const asks = async (): Promise<boolean> => {
        await replica.members.has(newRepository(), 'blob', digestOfText('x'), shutdown.signal);
        return own.includes('read');
      };
      await waitFor(asks, { what: 'the replica to use Redis', everyMs: 10 });
      if (options.isCold !== true) await warm();
      return replica;
    },
    reachable: async (replica) => {
      await waitFor(() => replica.isReachable(), { what: 'Redis to be reachable', everyMs: 10 });
    },
    warm,
    client: newClient,
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      await Promise.all(replicas.map((replica) => replica.close()));
      for (const client of clients) client.disconnect();
      await redis.stop();
      await removeTempFolder(folder);
    },
  };
}

function collectingLog(lines: LogLine[]): Log {
  const at =
    (level: LogLine['level']) =>
    (fields: Record<string, unknown>, message: string): void => {
      lines.push({ level, fields, message });
    };
  return { info: at('info'), warn: at('warn'), error: at('error'), debug: at('debug') };
}

function collectingObserver(lists: readonly string[][]): Observer {
  return {
    ...UNOBSERVED,
    redis: (operation) => {
      for (const list of lists) list.push(operation);
    },
  };
}
