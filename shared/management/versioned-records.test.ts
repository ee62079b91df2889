import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';

import { ProcessLeases } from '../index/store/process-leases.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { FilesystemExclusiveRecords } from '../storage/filesystem/filesystem-exclusive-records.ts';
import { FilesystemRecordStore } from '../storage/filesystem/filesystem-record-store.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { MemoryRecordStore } from '../index/testing/memory-record-store.ts';
import { exclusiveOfMemory, unreliableExclusive } from './testing/exclusive-of-memory.ts';
import { describeVersionedRecords } from './testing/versioned-records-contract.ts';
import { VersionedRecords } from './versioned-records.ts';

describeVersionedRecords('a memory', () => {
  const records = new MemoryRecordStore();
  const deps = (): ConstructorParameters<typeof VersionedRecords>[0] => ({
    records,
    exclusive: exclusiveOfMemory(records),
    leases: new ProcessLeases(systemClock),
  });
  return Promise.resolve({ replicas: [deps(), deps()], cleanUp: () => Promise.resolve() });
});

describeVersionedRecords('a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'twinport-test-'));
  const deps = (): ConstructorParameters<typeof VersionedRecords>[0] => ({
    records: new FilesystemRecordStore(folder),
    exclusive: new FilesystemExclusiveRecords(folder),
    leases: new ProcessLeases(systemClock),
  });
  return {
    replicas: [deps(), deps()],
    cleanUp: () => rm(folder, { recursive: true, force: true }),
  };
});

describe('a store that lets several writers win, without a Redis', () => {
  test('takes no change: 503, and nothing is written', async () => {
    const records = new MemoryRecordStore();
    const words = new VersionedRecords<{ revision?: number }>(
      { records, exclusive: unreliableExclusive, leases: new ProcessLeases(systemClock) },
      {
        kind: 'words',
        schema: z.object({ revision: z.number().exactOptional() }),
        get: () => Promise.resolve(undefined),
        put: () => Promise.reject(new Error('not to be written')),
        remove: () => Promise.reject(new Error('not to be removed')),
      },
    );
    await expect(words.write('one', {}, 0, unending)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      status: 503,
    });
    expect([...records.records.keys()]).toEqual([]);
  });
});
