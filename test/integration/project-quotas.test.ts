import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import type { ProjectRecord } from '../../shared/index/ports.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { unreliableExclusive } from '../../shared/management/testing/exclusive-of-memory.ts';
import { countProject } from '../../shared/management/quotas/count-project.ts';
import { ProjectQuotas } from '../../shared/management/quotas/project-quotas.ts';
import { StoreUsageLedger } from '../../shared/management/quotas/store-usage-ledger.ts';
import { withoutField } from '../../shared/management/without-field.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import type { ExclusiveRecords } from '../../shared/storage/exclusive-records.ts';
import { FilesystemBlobStore } from '../../shared/storage/filesystem/filesystem-blob-store.ts';
import { FilesystemExclusiveRecords } from '../../shared/storage/filesystem/filesystem-exclusive-records.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { createIndexLab, type IndexLab, PATIENT } from '../support/index-lab.ts';

const BLOB_BYTES = 100;
const NOWHERE = 'redis://127.0.0.1:1';

const unlogged = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

describeWithTools(['redis-server'], 'quotas with Redis', () => {
  let lab: IndexLab;
  let replicas: readonly [RedisIndex, RedisIndex];
  const shutdown = new AbortController();
  let number = 0;
  beforeAll(async () => {
    lab = await createIndexLab({ timing: PATIENT });
    replicas = [await lab.replica(), await lab.replica()];
  });
  afterAll(async () => {
    shutdown.abort();
    await lab.close();
  });

  const quotasOf = (index: RedisIndex, exclusive: ExclusiveRecords): ProjectQuotas =>
    new ProjectQuotas({
      records: lab.records,
      blobs: new FilesystemBlobStore(lab.folder),
      index,
      sharedLedger: index.usage,
      storeLedger: new StoreUsageLedger({
        ...{ records: lab.records, exclusive, leases: index.leases, clock: systemClock },
      }),
      clock: systemClock,
      log: unlogged,
      lifetime: shutdown.signal,
    });
  const reliable = (): ExclusiveRecords => new FilesystemExclusiveRecords(lab.folder);
  const newProject = (blobs: number): ProjectRecord => ({
    schemaVersion: 1,
    name: `team${(number += 1)}`,
    createdAt: '2026-01-01T00:00:00.000Z',
    quotaBytes: blobs * BLOB_BYTES,
  });
  const put = async (
    quotas: ProjectQuotas,
    { index, project, text }: { index: RedisIndex; project: ProjectRecord; text: string },
  ): Promise<string> => {
    const bytes = Buffer.alloc(BLOB_BYTES, `${text}|`);
    const digest = digestOf(bytes);
    try {
      await quotas.during(project, { digest, size: bytes.length }, unending, async () => {
        await new FilesystemBlobStore(lab.folder).put(digest, bytes, bytes.length, unending);
        const repository = `${project.name}/app` as RepositoryName;
        await index.members.add(repository, 'blob', digest, unending);
      });
      return 'made';
    } catch (error) {
      return (error as { code?: string }).code ?? String(error);
    }
  };
  const takes = async (project: ProjectRecord): Promise<number> => {
    const blobs = new FilesystemBlobStore(lab.folder);
    const counting = { records: lab.records, blobs, origins: lab.truth.origins };
    return (await countProject(project.name, counting, unending)).size;
  };
  const manyAtOnce = async (
    both: readonly [ProjectQuotas, ProjectQuotas],
    indexes: readonly [RedisIndex, RedisIndex],
    project: ProjectRecord,
  ): Promise<string[]> =>
    (
      await Promise.all(
        Array.from({ length: 10 }, (_, i) => {
          const side = i % 2 === 0 ? 0 : 1;
          return put(both[side], { index: indexes[side], project, text: `${project.name} ${i}` });
        }),
      )
    ).sort();

  test('of ten pushes at once by two processes exactly those go through that fit', async () => {
    const both = [quotasOf(replicas[0], reliable()), quotasOf(replicas[1], reliable())] as const;
    const project = newProject(1);
    expect(await manyAtOnce(both, replicas, project)).toEqual([
      ...Array<string>(9).fill('DENIED'),
      'made',
    ]);
    expect(await takes(project)).toBe(1);
  });

  test('what was flushed is counted again from the store', async () => {
    const quotas = quotasOf(replicas[0], reliable());
    const [index] = replicas;
    const project = newProject(2);
    expect(await put(quotas, { index, project, text: 'flush a' })).toBe('made');
    expect(await put(quotas, { index, project, text: 'flush b' })).toBe('made');
    await lab.client().flushall();
    expect(await put(quotas, { index, project, text: 'flush c' })).toBe('DENIED');
    expect(await put(quotas, { index, project, text: 'flush a' })).toBe('made');
    expect(await takes(project)).toBe(2);
  });

  test('what other hands removed makes room before anybody is refused for long', async () => {
    const project = newProject(1);
    const [index] = replicas;
    const first = quotasOf(index, reliable());
    expect(await put(first, { index, project, text: 'gone' })).toBe('made');
    const digest = digestOf(Buffer.alloc(BLOB_BYTES, 'gone|'));
    await index.members.remove(`${project.name}/app` as RepositoryName, 'blob', digest, unending);
    const later = quotasOf(index, reliable());
    expect(await put(later, { index, project, text: 'new' })).toBe('made');
    expect(await takes(project)).toBe(1);
  });

  describe('that does not answer', () => {
    let apart: readonly [RedisIndex, RedisIndex];
    beforeAll(async () => {
      apart = [await lab.replica({ url: NOWHERE }), await lab.replica({ url: NOWHERE })];
    });

    test('are kept in the store, by several processes, where that lets one writer through', async () => {
      const both = [quotasOf(apart[0], reliable()), quotasOf(apart[1], reliable())] as const;
      const project = newProject(3);
      const results = await manyAtOnce(both, apart, project);
      expect(results).toEqual([...Array<string>(7).fill('DENIED'), 'made', 'made', 'made']);
      expect(await takes(project)).toBe(3);
    });

    test('refuse pushes to projects with a quota alone where the store does not', async () => {
      const quotas = quotasOf(apart[0], unreliableExclusive);
      const [index] = apart;
      const project = newProject(3);
      expect(await put(quotas, { index, project, text: 'unsafe' })).toBe('UNAVAILABLE');
      const free = withoutField(project, 'quotaBytes');
      expect(await put(quotas, { index, project: free, text: 'unsafe' })).toBe('made');
    });

    test('count with Redis again what was pushed beside it', async () => {
      const project = newProject(1);
      const [index] = replicas;
      const quotas = quotasOf(index, reliable());
      const beside = quotasOf(apart[0], reliable());
      expect(await put(beside, { index: apart[0], project, text: 'beside' })).toBe('made');
      expect(await put(quotas, { index, project, text: 'with Redis' })).toBe('DENIED');
    });
  });
});
