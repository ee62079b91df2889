import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Descriptor } from '../../oci/descriptor.ts';
import { digestOf } from '../../oci/digest.ts';
import { parseRepositoryName } from '../../oci/reference.ts';
import { StorageError } from '../../storage/errors.ts';
import {
  layerLinkKey,
  referrerKey,
  repositoryFolder,
  revisionLinkKey,
  tagCurrentKey,
  tagHistoryKey,
} from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { RegistryIndex } from '../ports.ts';
import { digestOfText, newRepository, tagOf } from './index-names.ts';
import { referrersOf } from './referrers-of.ts';

export interface IndexBench {
  readonly index: RegistryIndex;
  /** Another instance over the same store, as another replica has it. */
  readonly replica: RegistryIndex;
  /** The store below both. */
  readonly records: RecordStore;
  /** True where leases and hints are shared by the replicas. */
  readonly isShared: boolean;
  cleanUp(): Promise<void>;
}

const unending = new AbortController().signal;

/** What every RegistryIndex must do. The suite works in repositories with random names. */
export function describeRegistryIndex(name: string, make: () => Promise<IndexBench>): void {
  describe(`${name} as a RegistryIndex`, () => {
    let bench: IndexBench;
    beforeAll(async () => {
      bench = await make();
    });
    afterAll(async () => {
      await bench.cleanUp();
    });
    describeTags(() => bench);
    describeMembership(() => bench);
    describeReferrers(() => bench);
    describeCatalog(() => bench);
    describeRecords(() => bench);
    describeLeasesAndHints(() => bench);
  });
}

function describeTags(bench: () => IndexBench): void {
  test('a tag that was set is read by every replica, in both forms of digest', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const digest = digestOf(Buffer.from('content'), algorithm);
      await index.tags.set(repository, tagOf('v1'), digest, unending);
      expect(await index.tags.get(repository, tagOf('v1'), unending)).toBe(digest);
      expect(await replica.tags.get(repository, tagOf('v1'), unending)).toBe(digest);
    }
  });

  test('a tag moves at once on every replica, also after it was read', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    for (let round = 0; round < 5; round += 1) {
      const [writer, reader] = round % 2 === 0 ? [index, replica] : [replica, index];
      const digest = digestOfText(`round ${round}`);
      await writer.tags.set(repository, tagOf('latest'), digest, unending);
      expect(await reader.tags.get(repository, tagOf('latest'), unending)).toBe(digest);
      expect(await writer.tags.get(repository, tagOf('latest'), unending)).toBe(digest);
      expect(await reader.tags.get(repository, tagOf('latest'), unending)).toBe(digest);
    }
  });

  test('a tag that is not there is undefined until it is set, on every replica', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    expect(await replica.tags.get(repository, tagOf('v1'), unending)).toBeUndefined();
    expect(await replica.tags.get(repository, tagOf('v1'), unending)).toBeUndefined();
    await index.tags.set(repository, tagOf('v1'), digestOfText('a'), unending);
    expect(await replica.tags.get(repository, tagOf('v1'), unending)).toBe(digestOfText('a'));
  });

  test('a tag that was deleted is gone on every replica, and a second delete finds none', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    await index.tags.set(repository, tagOf('v1'), digestOfText('a'), unending);
    expect(await replica.tags.get(repository, tagOf('v1'), unending)).toBe(digestOfText('a'));
    expect(await index.tags.delete(repository, tagOf('v1'), unending)).toBe(true);
    expect(await replica.tags.get(repository, tagOf('v1'), unending)).toBeUndefined();
    expect(await replica.tags.list(repository, unending)).toEqual([]);
    expect(await replica.tags.delete(repository, tagOf('v1'), unending)).toBe(false);
  });

  test('a deleted tag leaves no folder behind', async () => {
    const repository = newRepository();
    const { index, records } = bench();
    await index.tags.set(repository, tagOf('v1'), digestOfText('a'), unending);
    await index.tags.set(repository, tagOf('v1'), digestOfText('b'), unending);
    await index.tags.delete(repository, tagOf('v1'), unending);
    expect(await records.list(repositoryFolder(repository), {}, unending)).toEqual([]);
  });

  test('tags are listed by the order of their bytes, on every replica, as they come and go', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    expect(await index.tags.list(repository, unending)).toEqual([]);
    for (const tag of ['v2', '_x', 'V1', '1.0', 'v10', 'v2']) {
      await index.tags.set(repository, tagOf(tag), digestOfText(tag), unending);
    }
    const sorted = ['1.0', 'V1', '_x', 'v10', 'v2'];
    expect(await replica.tags.list(repository, unending)).toEqual(sorted);
    await replica.tags.delete(repository, tagOf('V1'), unending);
    expect(await index.tags.list(repository, unending)).toEqual(['1.0', '_x', 'v10', 'v2']);
    await index.tags.set(repository, tagOf('a'), digestOfText('a'), unending);
    expect(await replica.tags.list(repository, unending)).toEqual(['1.0', '_x', 'a', 'v10', 'v2']);
  });

  test('links hold the bare digest under the keys of the CNCF registry', async () => {
    const repository = newRepository();
    const { index, records } = bench();
    const digest = digestOfText('a');
    await index.tags.set(repository, tagOf('v1'), digest, unending);
    await index.members.add(repository, 'blob', digest, unending);
    await index.members.add(repository, 'manifest', digest, unending);
    for (const key of [
      tagCurrentKey(repository, tagOf('v1')),
      tagHistoryKey(repository, tagOf('v1'), digest),
      layerLinkKey(repository, digest),
      revisionLinkKey(repository, digest),
    ]) {
      expect((await records.get(key, unending))?.toString('utf8')).toBe(digest);
    }
  });

  test('a tag folder without a current link is no tag', async () => {
    const repository = newRepository();
    const { index, records } = bench();
    const link = Buffer.from(digestOfText('a'));
    await records.put(tagHistoryKey(repository, tagOf('v1'), digestOfText('a')), link, unending);
    expect(await index.tags.get(repository, tagOf('v1'), unending)).toBeUndefined();
    expect(await index.tags.list(repository, unending)).toEqual([]);
    expect(await index.tags.delete(repository, tagOf('v1'), unending)).toBe(false);
  });

  test('a damaged link is a fault for get and no tag in a list, and can be set and deleted', async () => {
    const repository = newRepository();
    const { index, records } = bench();
    for (const text of ['', 'latest', `${digestOfText('a')}\n`]) {
      await records.put(tagCurrentKey(repository, tagOf('bad')), Buffer.from(text), unending);
      const got = index.tags.get(repository, tagOf('bad'), unending);
      await expect(got).rejects.toBeInstanceOf(StorageError);
    }
    expect(await index.tags.list(repository, unending)).toEqual([]);
    await index.tags.set(repository, tagOf('bad'), digestOfText('a'), unending);
    expect(await index.tags.get(repository, tagOf('bad'), unending)).toBe(digestOfText('a'));
    const worse = newRepository();
    await records.put(tagCurrentKey(worse, tagOf('bad')), Buffer.from('?'), unending);
    expect(await index.tags.delete(worse, tagOf('bad'), unending)).toBe(true);
    expect(await index.tags.get(worse, tagOf('bad'), unending)).toBeUndefined();
  });

  test('ends with the reason of a signal that is aborted', async () => {
    const reason = new Error('the client left');
    const aborted = AbortSignal.abort(reason);
    const repository = newRepository();
    const { tags } = bench().index;
    await expect(tags.get(repository, tagOf('v1'), aborted)).rejects.toBe(reason);
    const setting = tags.set(repository, tagOf('v1'), digestOfText('a'), aborted);
    await expect(setting).rejects.toBe(reason);
    expect(await tags.get(repository, tagOf('v1'), unending)).toBeUndefined();
  });
}

function describeMembership(bench: () => IndexBench): void {
  test('content belongs to a repository from add to remove, on every replica', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    const digest = digestOfText('layer');
    for (const kind of ['blob', 'manifest'] as const) {
      expect(await replica.members.has(repository, kind, digest, unending)).toBe(false);
      await index.members.add(repository, kind, digest, unending);
      await index.members.add(repository, kind, digest, unending);
      expect(await replica.members.has(repository, kind, digest, unending)).toBe(true);
      expect(await replica.members.remove(repository, kind, digest, unending)).toBe(true);
      expect(await index.members.has(repository, kind, digest, unending)).toBe(false);
      expect(await index.members.remove(repository, kind, digest, unending)).toBe(false);
    }
  });

  test('neither kind of member is the other, nor is another repository or digest', async () => {
    const repository = newRepository();
    const { index } = bench();
    const digest = digestOfText('layer');
    await index.members.add(repository, 'blob', digest, unending);
    expect(await index.members.has(repository, 'manifest', digest, unending)).toBe(false);
    expect(await index.members.has(newRepository(), 'blob', digest, unending)).toBe(false);
    expect(await index.members.has(repository, 'blob', digestOfText('b'), unending)).toBe(false);
  });

  test('the last member that is removed leaves no ghost of the repository', async () => {
    const repository = newRepository();
    const { index, replica, records } = bench();
    await index.members.add(repository, 'blob', digestOfText('a'), unending);
    await index.members.remove(repository, 'blob', digestOfText('a'), unending);
    expect(await records.list(repositoryFolder(repository), {}, unending)).toEqual([]);
    expect(await replica.catalog.has(repository, unending)).toBe(false);
    expect(await replica.catalog.repositories(unending)).not.toContain(repository);
  });
}

function describeReferrers(bench: () => IndexBench): void {
  const referrer = (text: string, more: Partial<Descriptor> = {}): Descriptor => ({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOfText(text),
    size: text.length,
    ...more,
  });
  const byDigest = (a: Descriptor, b: Descriptor): number => (a.digest < b.digest ? -1 : 1);

  test('referrers are listed by digest with all that was added, on every replica', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    const subject = digestOfText('subject');
    const all = ['a', 'b', 'c'].map((text) =>
      referrer(text, { artifactType: 'test/x', annotations: { 'a.b': text } }),
    );
    expect(await referrersOf(replica, repository, subject)).toEqual([]);
    for (const descriptor of all) {
      await index.referrers.add(repository, subject, descriptor, unending);
      await index.referrers.add(repository, subject, descriptor, unending);
    }
    const sorted = all.toSorted(byDigest);
    expect(await referrersOf(replica, repository, subject)).toEqual(sorted);
    expect(await referrersOf(index, repository, digestOfText('other'))).toEqual([]);
    const [first, ...rest] = sorted;
    await replica.referrers.remove(repository, subject, first!.digest, unending);
    await replica.referrers.remove(repository, subject, first!.digest, unending);
    expect(await referrersOf(index, repository, subject)).toEqual(rest);
  });

  test('referrers are listed from any digest on, whether it is one of theirs or not', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    const subject = digestOfText('subject');
    const all = ['a', 'b', 'c', 'd'].map((text) => referrer(text)).sort(byDigest);
    for (const descriptor of all) {
      await index.referrers.add(repository, subject, descriptor, unending);
    }
    for (const after of [...all.map(({ digest }) => digest), digestOfText('elsewhere')]) {
      for (const asked of [index, replica]) {
        expect(await referrersOf(asked, repository, subject, after)).toEqual(
          all.filter(({ digest }) => digest > after),
        );
      }
    }
  });

  test('referrers of more bytes than are kept are listed as they come and go, on every replica', async () => {
    const repository = newRepository();
    const { index, replica } = bench();
    const subject = digestOfText('subject');
    const annotations = { text: 'x'.repeat(100_000) };
    let all = Array.from({ length: 12 }, (_, i) => referrer(`${i}`, { annotations }));
    const [late, ...early] = all;
    for (const descriptor of early) {
      await index.referrers.add(repository, subject, descriptor, unending);
    }
    for (const change of ['none', 'add', 'remove']) {
      if (change === 'none') all = early;
      if (change === 'add') {
        await replica.referrers.add(repository, subject, late!, unending);
        all = [late!, ...early];
      }
      if (change === 'remove') {
        await index.referrers.remove(repository, subject, early[3]!.digest, unending);
        all = all.filter(({ digest }) => digest !== early[3]!.digest);
      }
      all.sort(byDigest);
      for (const asked of [replica, index, replica]) {
        expect(await referrersOf(asked, repository, subject)).toEqual(all);
        const after = all[5]!.digest;
        expect(await referrersOf(asked, repository, subject, after)).toEqual(all.slice(6));
      }
    }
  });

  test('a referrer record that cannot be read is a fault, not an absence', async () => {
    const repository = newRepository();
    const { index, records } = bench();
    const subject = digestOfText('subject');
    const key = referrerKey(repository, subject, digestOfText('a'));
    await records.put(key, Buffer.from('{"schemaVersion":1}'), unending);
    await expect(referrersOf(index, repository, subject)).rejects.toBeInstanceOf(StorageError);
  });
}

function describeCatalog(bench: () => IndexBench): void {
  test('lists each repository with a blob or a manifest, nested ones too, by the order of their bytes', async () => {
    const { index, replica, records } = bench();
    const root = `catalog-${randomUUID()}`;
    const repositories = ['b', 'a-b', 'a', 'a/b', 'a/b/c', 'a.b', 'a_b'].map((name) =>
      parseRepositoryName(`${root}/${name}`)!,
    );
    for (const [i, repository] of repositories.entries()) {
      const kind = i % 2 === 0 ? 'blob' : 'manifest';
      await index.members.add(repository, kind, digestOfText('x'), unending);
    }
    // Neither an upload, nor a name that is none, nor what stands below `_`.
    for (const key of [
      'up/_uploads/x/startedat',
      'BAD/_layers/x/link',
      '_odd/app/_layers/x/link',
    ]) {
      await records.put(`${repositoryFolder(root)}/${key}`, Buffer.from('x'), unending);
    }
    const listed = await replica.catalog.repositories(unending);
    expect(listed.filter((name) => name.startsWith(root))).toEqual(repositories.toSorted());
    expect(listed).toEqual(listed.toSorted());
  });

  test('knows a repository by any record in it, and not by a repository nested in it', async () => {
    const { index, records } = bench();
    for (const key of ['_uploads/x/startedat', '_twinport/origin', '_layers/x', '_manifests/x']) {
      const repository = newRepository();
      expect(await index.catalog.has(repository, unending)).toBe(false);
      await records.put(`${repositoryFolder(repository)}/${key}`, Buffer.from('x'), unending);
      expect(await index.catalog.has(repository, unending)).toBe(true);
      const parent = parseRepositoryName(repository.slice(0, repository.lastIndexOf('/')))!;
      expect(await index.catalog.has(parent, unending)).toBe(false);
    }
  });
}

function describeRecords(bench: () => IndexBench): void {
  test('a project is kept as it was created first, and listed', async () => {
    const { index, replica } = bench();
    const name = `project-${randomUUID()}`;
    const record = { schemaVersion: 1, name, createdAt: '2026-11-21T10:00:00Z' } as const;
    expect(await replica.projects.get(name, unending)).toBeUndefined();
    await index.projects.create(record, unending);
    expect(await replica.projects.get(name, unending)).toEqual(record);
    await replica.projects.create({ ...record, adopted: true }, unending);
    expect(await index.projects.get(name, unending)).toEqual(record);
    expect(await replica.projects.list(unending)).toContainEqual(record);
  });

  test('a project is replaced and removed, and every replica sees it at once', async () => {
    const { index, replica } = bench();
    const name = `project-${randomUUID()}`;
    const record = { schemaVersion: 1 as const, name, createdAt: '2026-01-01T00:00:00.000Z' };
    await index.projects.create(record, unending);
    expect(await replica.projects.get(name, unending)).toEqual(record);
    const changed = {
      ...record,
      revision: 1,
      id: 'one',
      visibility: 'private' as const,
      members: [{ id: 'local:alice', role: 'maintainer' as const }],
      groups: [{ group: 'ldap:staff', role: 'guest' as const }],
      quotaBytes: 1000,
      immutableTags: ['v*'],
      rootPath: false,
    };
    await index.projects.put(changed, unending);
    expect(await replica.projects.get(name, unending)).toEqual(changed);
    await index.projects.remove(name, unending);
    expect(await replica.projects.get(name, unending)).toBeUndefined();
    await index.projects.remove(name, unending);
  });

  test('no name but a first segment is a project', async () => {
    const { index } = bench();
    for (const name of ['', 'a/b', '..', '../x', 'UPPER', '.hidden']) {
      expect(await index.projects.get(name, unending)).toBeUndefined();
      const record = { schemaVersion: 1, name, createdAt: '2026-11-21T10:00:00Z' } as const;
      await expect(index.projects.create(record, unending)).rejects.toBeInstanceOf(StorageError);
    }
  });

  test('an origin marker is replaced by the next one, on every replica', async () => {
    const { index, replica } = bench();
    const repository = newRepository();
    const marker = {
      schemaVersion: 1,
      upstreamUrl: 'https://registry-1.docker.io',
      upstreamRepository: 'library/redis',
      verdict: 'unknown',
    } as const;
    expect(await replica.origins.get(repository, unending)).toBeUndefined();
    await index.origins.put(repository, marker, unending);
    expect(await replica.origins.get(repository, unending)).toEqual(marker);
    const proved = { ...marker, verdict: 'public', provedAt: '2026-11-21T10:00:00Z' } as const;
    await replica.origins.put(repository, proved, unending);
    expect(await index.origins.get(repository, unending)).toEqual(proved);
  });

  test('the media type of a manifest is kept, on every replica', async () => {
    const { index, replica } = bench();
    const repository = newRepository();
    const digest = digestOfText('manifest');
    expect(await replica.manifestTypes.get(repository, digest, unending)).toBeUndefined();
    await index.manifestTypes.put(repository, digest, 'application/x', unending);
    expect(await replica.manifestTypes.get(repository, digest, unending)).toBe('application/x');
    await replica.manifestTypes.put(repository, digest, 'application/y', unending);
    expect(await index.manifestTypes.get(repository, digest, unending)).toBe('application/y');
  });
}

function describeLeasesAndHints(bench: () => IndexBench): void {
  test('one holds a lease at a time, and the next gets it when it is released', async () => {
    const { index, replica, isShared } = bench();
    const name = `lease-${randomUUID()}`;
    const held = await index.leases.acquire(name, 0, unending);
    expect(held?.lost.aborted).toBe(false);
    expect(await index.leases.acquire(name, 0, unending)).toBeUndefined();
    expect(await index.leases.acquire(name, 30, unending)).toBeUndefined();
    if (isShared) expect(await replica.leases.acquire(name, 30, unending)).toBeUndefined();
    const other = await index.leases.acquire(`${name}-other`, 0, unending);
    await other?.release();
    const waiting = (isShared ? replica : index).leases.acquire(name, 10_000, unending);
    await held?.release();
    await held?.release();
    const next = await waiting;
    expect(next).toBeDefined();
    expect(await index.leases.acquire(name, 0, unending)).toBeUndefined();
    await next?.release();
    const last = await index.leases.acquire(name, 0, unending);
    expect(last).toBeDefined();
    await last?.release();
  });

  test('every replica is told who holds a lease, and can take it from one that is gone', async () => {
    const { index, replica, isShared } = bench();
    const other = isShared ? replica : index;
    const name = `lease-${randomUUID()}`;
    const held = await index.leases.acquire(name, 0, unending, { claim: 'one http://one' });
    expect(held?.reach).toBe(isShared ? 'store' : 'process');
    expect(await other.leases.holder(name)).toBe('one http://one');
    const terms = { claim: 'two http://two', insteadOf: 'one http://one' };
    const taken = await other.leases.acquire(name, 0, unending, terms);
    expect(taken).toBeDefined();
    expect(await other.leases.holder(name)).toBe('two http://two');
    await held?.release();
    expect(await other.leases.holder(name)).toBe('two http://two');
    expect(await other.leases.acquire(name, 0, unending)).toBeUndefined();
    await taken?.release();
    expect(await other.leases.holder(name)).toBeUndefined();
  });

  test('who stops waiting for a lease leaves it to the others', async () => {
    const { leases } = bench().index;
    const name = `lease-${randomUUID()}`;
    const held = await leases.acquire(name, 0, unending);
    const leaving = new AbortController();
    const left = leases.acquire(name, 10_000, leaving.signal);
    const patient = leases.acquire(name, 10_000, unending);
    const reason = new Error('the client left');
    leaving.abort(reason);
    await expect(left).rejects.toBe(reason);
    await held?.release();
    const lease = await patient;
    expect(lease).toBeDefined();
    await lease?.release();
  });

  test('no two tasks of both replicas are ever inside one lease', async () => {
    const { index, replica, isShared } = bench();
    const name = `lease-${randomUUID()}`;
    let inside = 0;
    let most = 0;
    const work = async (leases: RegistryIndex['leases']): Promise<void> => {
      const lease = await leases.acquire(name, 20_000, unending);
      inside += 1;
      most = Math.max(most, inside);
      await new Promise(setImmediate);
      inside -= 1;
      await lease?.release();
    };
    const second = isShared ? replica : index;
    await Promise.all(
      Array.from({ length: 12 }, (_, i) => work((i % 2 === 0 ? index : second).leases)),
    );
    expect(most).toBe(1);
  });

  test('a hint is read until it lapses, and replaced by the next one', async () => {
    const { index, replica, isShared } = bench();
    const name = `hint-${randomUUID()}`;
    expect(await index.hints.get(name)).toBeUndefined();
    await index.hints.put(name, 'first', 60_000);
    await index.hints.put(name, 'second', 60_000);
    expect(await (isShared ? replica : index).hints.get(name)).toBe('second');
    await index.hints.put(name, 'third', 1);
    const until = performance.now() + 5_000;
    while ((await index.hints.get(name)) !== undefined && performance.now() < until) {
      await new Promise(setImmediate);
    }
    expect(await index.hints.get(name)).toBeUndefined();
  });
}
