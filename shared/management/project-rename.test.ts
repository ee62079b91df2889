import { describe, expect, test } from '@jest/globals';

import { createStoreIndex } from '../index/store/create-store-index.ts';
import type { RegistryIndex } from '../index/ports.ts';
import type { MemoryRecordStore } from '../index/testing/memory-record-store.ts';
import { digestOf } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/reference.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { ProjectRename } from './project-rename.ts';
import { Robots } from './robots.ts';
import { type TestManagement, testManagement } from './testing/test-management.ts';
import type { Clock } from '../lifecycle/clock.ts';

const [layer, manifest, older, referrer] = ['layer', 'manifest', 'older', 'referrer'].map((text) =>
  digestOf(Buffer.from(text)),
) as [Digest, Digest, Digest, Digest];
type Digest = ReturnType<typeof digestOf>;
const hub = { project: 'mirror', url: 'https://registry-1.docker.io', hosts: ['docker.io'] };
const v1 = 'v1' as Tag;
const name = (text: string): RepositoryName => text as RepositoryName;
const descriptor = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: referrer,
  size: 8,
};
const names = { from: 'library', to: 'ours' };

interface Bench {
  readonly management: TestManagement;
  readonly index: RegistryIndex;
  readonly robots: Robots;
  /** By a process that ends after so many writes to the store. */
  rename(wanted?: { from: string; to: string }, writes?: number): Promise<RepositoryName[]>;
}

function newBench(): Bench {
  const management = testManagement();
  const { records, clock, leases } = management;
  const index = createStoreIndex(records, clock);
  // Half a minute is not waited for.
  const impatient: Clock = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: () => Promise.resolve(),
  };
  return {
    management,
    index,
    robots: new Robots(management),
    rename: (wanted = names, writes = Infinity) => {
      const mortal = new MortalRecords(records, writes);
      const exclusive = {
        isReliable: () => Promise.resolve(true),
        create: async (key: string, bytes: Buffer, signal: AbortSignal) => {
          mortal.spend();
          return await management.exclusive.create(key, bytes, signal);
        },
      };
      const deps = { records: mortal, exclusive, leases, clock: impatient };
      return new ProjectRename({
        ...deps,
        index: createStoreIndex(mortal, impatient),
        uploads: { reap: () => Promise.resolve(0) },
        robots: new Robots(deps),
        upstreams: () => Promise.resolve([hub]),
        rules: { isDottedReserved: true },
      }).rename(wanted, unending);
    },
  };
}

class MortalRecords implements RecordStore {
  readonly #inner: MemoryRecordStore;
  #writes: number;

  constructor(inner: MemoryRecordStore, writes: number) {
    this.#inner = inner;
    this.#writes = writes;
  }

  spend(): void {
    this.#writes -= 1;
    if (this.#writes < 0) throw new Error('killed');
  }

  get: RecordStore['get'] = (...args) => this.#inner.get(...args);
  modifiedAt: RecordStore['modifiedAt'] = (...args) => this.#inner.modifiedAt(...args);
  list: RecordStore['list'] = (...args) => this.#inner.list(...args);
  put: RecordStore['put'] = async (...args) => {
    this.spend();
    await this.#inner.put(...args);
  };
  delete: RecordStore['delete'] = async (...args) => {
    this.spend();
    await this.#inner.delete(...args);
  };
  deleteTree: RecordStore['deleteTree'] = async (...args) => {
    this.spend();
    await this.#inner.deleteTree(...args);
  };
}

/** A project with all that a repository can have. */
async function fill({ index, robots, management }: Bench): Promise<void> {
  const project = {
    ...{ schemaVersion: 1 as const, name: 'library', createdAt: '2026-01-01T00:00:00.000Z' },
    ...{ adopted: true, visibility: 'private' as const, quotaBytes: 1_000 },
    members: [{ id: 'local:alice', role: 'developer' as const }],
  };
  await index.projects.put(project, unending);
  for (const repository of [name('library'), name('library/app'), name('library/app/base')]) {
    await index.members.add(repository, 'blob', layer, unending);
    await index.members.add(repository, 'manifest', older, unending);
    await index.members.add(repository, 'manifest', manifest, unending);
    await index.manifestTypes.put(repository, manifest, 'application/x-odd', unending);
    await index.referrers.add(repository, manifest, descriptor, unending);
    await index.tags.set(repository, v1, older, unending);
    await index.tags.set(repository, v1, manifest, unending);
  }
  const right = {
    name: 'ci',
    actions: ['pull' as const],
    expiresAt: undefined,
    createdBy: undefined,
  };
  await robots.add(project, right, unending);
  await management.records.put(
    'docker/registry/v2/repositories/library/app/_uploads/x/startedat',
    Buffer.from('x'),
    unending,
  );
}

/** Everything of the store, with the new name in place of the old one where it is done. */
async function expectRenamed({ index, robots, management }: Bench): Promise<void> {
  expect(await index.projects.get('library', unending)).toBeUndefined();
  expect(await index.projects.get('ours', unending)).toMatchObject({
    ...{ name: 'ours', visibility: 'private', quotaBytes: 1_000 },
    ...{ createdAt: '2026-01-01T00:00:00.000Z' },
    members: [{ id: 'local:alice', role: 'developer' }],
  });
  const record = await index.projects.get('ours', unending);
  for (const field of ['closed', 'renamedFrom', 'renamedTo', 'adopted']) {
    expect(record).not.toHaveProperty(field);
  }
  const ours = [name('ours'), name('ours/app'), name('ours/app/base')];
  expect(await index.catalog.repositories(unending)).toEqual(ours);
  for (const repository of ours) {
    expect(await index.tags.get(repository, v1, unending)).toBe(manifest);
    for (const digest of [manifest, older]) {
      expect(await index.members.has(repository, 'manifest', digest, unending)).toBe(true);
    }
    expect(await index.members.has(repository, 'blob', layer, unending)).toBe(true);
    expect(await index.manifestTypes.get(repository, manifest, unending)).toBe('application/x-odd');
    const found = [];
    for await (const some of index.referrers.list(repository, manifest, undefined, unending)) {
      found.push(...some);
    }
    expect(found).toEqual([descriptor]);
  }
  const keys = [...management.records.records.keys()];
  expect(keys.filter((key) => /(?:v2\/repositories|v1\/robots)\/library\//.test(key))).toEqual([]);
  expect(keys.filter((key) => key.includes('/tags/v1/index/'))).toHaveLength(6);
  expect(await robots.list('ours', unending)).toMatchObject([{ name: 'ci', project: 'ours' }]);
}

describe('a project that is renamed', () => {
  test('has everything under the new name, and nothing is left under the old one', async () => {
    const bench = newBench();
    await fill(bench);
    expect(await bench.rename()).toEqual(['ours', 'ours/app', 'ours/app/base']);
    await expectRenamed(bench);
    await expect(bench.rename()).rejects.toMatchObject({ code: 'NAME_UNKNOWN' });
  });

  test('is finished by the next process, wherever the one before was killed', async () => {
    let deaths = 0;
    for (;;) {
      const bench = newBench();
      await fill(bench);
      const isDone = await bench.rename(names, deaths).then(
        () => true,
        () => false,
      );
      // Until the new name is open all of the old one is there.
      const { index } = bench;
      const now = await index.projects.get('ours', unending);
      if (!now || now.closed === true) {
        expect(await index.tags.get(name('library/app'), v1, unending)).toBe(manifest);
      } else {
        expect(await index.tags.get(name('ours/app'), v1, unending)).toBe(manifest);
      }
      if (isDone) break;
      deaths += 1;
      await bench.rename().catch((error: unknown) => {
        // Killed after the last write that others see.
        expect(error).toMatchObject({ code: 'NAME_UNKNOWN' });
      });
      await expectRenamed(bench);
    }
    expect(deaths).toBeGreaterThan(50);
  });

  test('leaves what is cached of an upstream under the same name', async () => {
    const bench = newBench();
    const { index } = bench;
    await index.members.add(name('mirror/old'), 'manifest', manifest, unending);
    await index.tags.set(name('mirror/old'), v1, manifest, unending);
    await index.projects.put(
      { schemaVersion: 1, name: 'mirror', createdAt: '2026-01-01T00:00:00.000Z', adopted: true },
      unending,
    );
    const origin = {
      schemaVersion: 1,
      upstreamUrl: hub.url,
      upstreamRepository: 'library/x',
    } as const;
    await index.origins.put(name('mirror/library/x'), { ...origin, verdict: 'public' }, unending);
    await index.members.add(name('mirror/library/x'), 'manifest', manifest, unending);
    expect(await bench.rename({ from: 'mirror', to: 'ours' })).toEqual(['ours/old']);
    expect(await index.catalog.repositories(unending)).toEqual(['mirror/library/x', 'ours/old']);
    expect(await index.origins.get(name('mirror/library/x'), unending)).toMatchObject(origin);
  });

  test('stays what it was when a repository of it would get a name that is too long', async () => {
    const bench = newBench();
    await fill(bench);
    const { index } = bench;
    await index.members.add(name(`library/${'x'.repeat(240)}`), 'manifest', manifest, unending);
    const to = 'a-name-of-many-letters';
    await expect(bench.rename({ from: 'library', to })).rejects.toMatchObject({ code: 'DENIED' });
    expect(await index.projects.get('library', unending)).not.toHaveProperty('closed');
    expect(await index.projects.get(to, unending)).toBeUndefined();
  });

  test('gets no name that is in use or means something else, and stays what it was', async () => {
    const bench = newBench();
    await fill(bench);
    const { index } = bench;
    const taken = {
      schemaVersion: 1,
      name: 'taken',
      createdAt: '2026-01-01T00:00:00.000Z',
    } as const;
    await index.projects.put(taken, unending);
    await index.members.add(name('unmarked/app'), 'manifest', manifest, unending);
    for (const to of ['taken', 'unmarked', 'library', 'mirror', 'docker.io', 'local']) {
      await expect(bench.rename({ from: 'library', to })).rejects.toMatchObject({ code: 'DENIED' });
    }
    await expect(bench.rename({ from: 'library', to: 'A/b' })).rejects.toMatchObject({
      code: 'NAME_INVALID',
    });
    expect(await index.projects.get('library', unending)).not.toHaveProperty('closed');
    await bench.rename(names, 3).catch(() => undefined);
    await expect(bench.rename({ from: 'library', to: 'other' })).rejects.toMatchObject({
      message: expect.stringContaining('is being renamed to ours') as unknown,
    });
  });
});
