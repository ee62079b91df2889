import { beforeEach, describe, expect, test } from '@jest/globals';

import { StorageError } from '../../storage/errors.ts';
import { dirtyFolder } from '../../storage/object-keys.ts';
import { type Log, UNOBSERVED } from '../../observability/observer.ts';
import { newRepository } from '../testing/index-names.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryRecordStore } from '../testing/memory-record-store.ts';
import { becomes, CoherentCache } from './coherent-cache.ts';
import { DirtyJournal } from './dirty-journal.ts';
import { indexTiming } from './index-timing.ts';
import { RedisClient } from './redis-client.ts';
import { RedisEpoch } from './redis-epoch.ts';
import { originCacheKey } from './redis-keys.ts';

const unending = new AbortController().signal;
const key = originCacheKey(newRepository());
const ignore = (): void => undefined;
const log: Log = { info: ignore, warn: ignore, error: ignore, debug: ignore };
const observer = UNOBSERVED;

/** With a Redis that never comes; test/integration/index-protocol.test.ts has the one that does. */
describe('CoherentCache without Redis', () => {
  let records: MemoryRecordStore;
  let clock: ManualClock;
  let cache: CoherentCache;
  const newCache = (writeDeadlineMs = 30_000): CoherentCache => {
    const timing = { ...indexTiming(5), writeDeadlineMs };
    const url = 'redis://127.0.0.1:1';
    const client = new RedisClient({ url, clock, log, observer, commandMs: 50 });
    const journal = new DirtyJournal(records, clock, timing);
    return new CoherentCache(new RedisEpoch(client), journal, clock, timing);
  };
  beforeEach(() => {
    records = new MemoryRecordStore();
    clock = new ManualClock();
    cache = newCache();
  });
  const entries = (): number =>
    [...records.records.keys()].filter((name) => name.startsWith(dirtyFolder)).length;

  test('reads the store each time', async () => {
    for (const value of ['a', undefined, 'b']) {
      expect(await cache.read(key, () => Promise.resolve(value), unending)).toBe(value);
    }
  });

  test('leaves a journal entry before the write and gives back what the write gave', async () => {
    const write = (): Promise<number> => Promise.resolve(entries());
    expect(await cache.mutate([becomes(key, 'a')], write, unending)).toBe(1);
  });

  test('a write that ended late, because the process was stopped, leaves an entry before it is told', async () => {
    const write = (): Promise<void> => {
      clock.advance(30_001);
      return Promise.resolve();
    };
    await cache.mutate([becomes(key, 'a')], write, unending);
    expect(entries()).toBe(2);
  });

  test('a write that does not end is given up with a StorageError', async () => {
    cache = newCache(20);
    const write = (signal: AbortSignal): Promise<void> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    const writing = cache.mutate([becomes(key, 'a')], write, unending);
    await expect(writing).rejects.toBeInstanceOf(StorageError);
    expect(entries()).toBe(1);
  });

  test('a write that fails throws what the store threw', async () => {
    const fault = new StorageError('record.put', 'the disk is full');
    const writing = cache.mutate([becomes(key, 'a')], () => Promise.reject(fault), unending);
    await expect(writing).rejects.toBe(fault);
  });

  test('nothing is written when the client left or no journal entry could be left', async () => {
    let writes = 0;
    const write = (): Promise<void> => {
      writes += 1;
      return Promise.resolve();
    };
    const reason = new Error('the client left');
    const leaving = cache.mutate([becomes(key, 'a')], write, AbortSignal.abort(reason));
    await expect(leaving).rejects.toBe(reason);
    records.isBroken = true;
    await expect(cache.mutate([becomes(key, 'a')], write, unending)).rejects.toThrow('broken');
    expect(writes).toBe(0);
  });
});
