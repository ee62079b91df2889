import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { becomes, CoherentCache } from '../../shared/index/redis/coherent-cache.ts';
import { DirtyJournal } from '../../shared/index/redis/dirty-journal.ts';
import { indexTiming } from '../../shared/index/redis/index-timing.ts';
import { RedisClient } from '../../shared/index/redis/redis-client.ts';
import { RedisEpoch } from '../../shared/index/redis/redis-epoch.ts';
import { originCacheKey } from '../../shared/index/redis/redis-keys.ts';
import type { RedisAnswer } from '../../shared/index/redis/redis-session.ts';
import { newRepository } from '../../shared/index/testing/index-names.ts';
import { MemoryRecordStore } from '../../shared/index/testing/memory-record-store.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { Log, Observer } from '../../shared/observability/observer.ts';
import { dirtyFolder } from '../../shared/storage/object-keys.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { PATIENT } from '../support/index-lab.ts';
import { type RedisServer, startRedis } from '../support/start-redis.ts';
import { waitFor } from '../support/wait-for.ts';

const unending = new AbortController().signal;
const ignore = (): void => undefined;
const log: Log = { info: ignore, warn: ignore, error: ignore, debug: ignore };
const observer: Observer = new Proxy({} as Observer, { get: () => ignore });
const timing = { ...indexTiming(5), ...PATIENT };

/** Redis is flushed between the opening of an epoch and the mark in it, as often as `flushes` says. */
class UnluckyEpoch extends RedisEpoch {
  marks = 0;
  readonly #flush: () => Promise<void>;
  readonly #flushes: number;

  constructor(client: RedisClient, flush: () => Promise<void>, flushes: number) {
    super(client);
    this.#flush = flush;
    this.#flushes = flushes;
  }

  override async run(...args: Parameters<RedisEpoch['run']>): Promise<RedisAnswer> {
    if (args[1] === 'mark') {
      this.marks += 1;
      if (this.marks <= this.#flushes) await this.#flush();
    }
    return await super.run(...args);
  }
}

describeWithTools(['redis-server'], 'a mutation whose mark a flush took away', () => {
  let redis: RedisServer;
  let client: RedisClient;
  let records: MemoryRecordStore;
  beforeEach(async () => {
    redis = await startRedis({ own: true });
    records = new MemoryRecordStore();
    client = new RedisClient({
      url: redis.url,
      clock: systemClock,
      log,
      observer,
      commandMs: timing.commandMs,
    });
    await client.start();
    await waitFor(() => client.session !== undefined, { what: 'a connection to Redis' });
  });
  afterEach(async () => {
    await client.close();
    await redis.stop();
  });

  const cacheOver = async (epoch: RedisEpoch): Promise<[CoherentCache, DirtyJournal]> => {
    const journal = new DirtyJournal(records, systemClock, timing);
    await journal.refresh(unending);
    return [new CoherentCache(epoch, journal, systemClock, timing), journal];
  };
  const entries = (): number =>
    [...records.records.keys()].filter((name) => name.startsWith(dirtyFolder)).length;

  test.each([
    ['seven times marks in the eighth epoch', 7, 8, 0],
    [
      'each time goes on without Redis after the eighth, and leaves a journal entry first',
      99,
      8,
      1,
    ],
  ])('%s', async (_, flushes, marks, entriesAtWrite) => {
    const key = originCacheKey(newRepository());
    const [reader, readersJournal] = await cacheOver(new RedisEpoch(client));
    let stored = 'old';
    const read = (): Promise<string | undefined> =>
      reader.read(key, () => Promise.resolve(stored), unending);
    expect(await read()).toBe('old');
    const epoch = new UnluckyEpoch(client, () => redis.flush(), flushes);
    const [writer] = await cacheOver(epoch);
    const found = await writer.mutate(
      [becomes(key, 'new')],
      () => {
        stored = 'new';
        return Promise.resolve(entries());
      },
      unending,
    );
    expect(epoch.marks).toBe(marks);
    expect(found).toBe(entriesAtWrite);
    await readersJournal.refresh(unending);
    expect(await read()).toBe('new');
    await writer.settle(unending);
    await readersJournal.refresh(unending);
    expect(await read()).toBe('new');
  });
});
