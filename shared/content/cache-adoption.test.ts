import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName, parseTag, type RepositoryName } from '../oci/reference.ts';
import { type AdoptedRepository, CacheAdoption } from './cache-adoption.ts';
import { createTempStore, type TempStore } from './testing/temp-store.ts';

const hub = { project: 'mirror', url: 'https://registry-1.docker.io', hosts: ['docker.io'] };
const quay = { project: 'quay.io', url: 'https://quay.io', hosts: ['quay.io'] };
const signal = new AbortController().signal;
const digest = digestOf(Buffer.from('content'));
const tag = parseTag('1')!;
const repository = (name: string): RepositoryName => parseRepositoryName(name)!;

let store: TempStore;
beforeEach(async () => {
  store = await createTempStore();
  await store.records.put('scheduler-state.json', Buffer.from('{}'), signal);
});
afterEach(() => store.remove());

async function hold(name: string): Promise<void> {
  await store.index.members.add(repository(name), 'blob', digest, signal);
  await store.index.members.add(repository(name), 'manifest', digest, signal);
  await store.index.tags.set(repository(name), tag, digest, signal);
}

async function adopt(isDry = false, upstream = hub): Promise<AdoptedRepository[]> {
  const moved: AdoptedRepository[] = [];
  for await (const one of new CacheAdoption(store.records, upstream).run(isDry, signal)) {
    moved.push(one);
  }
  return moved;
}

async function isWhole(name: string): Promise<boolean> {
  const { members, tags } = store.index;
  return (
    (await members.has(repository(name), 'blob', digest, signal)) &&
    (await members.has(repository(name), 'manifest', digest, signal)) &&
    (await tags.get(repository(name), tag, signal)) === digest
  );
}

const isRefused = async (): Promise<boolean> =>
  (await store.records.get('scheduler-state.json', signal)) !== undefined;

test('moves every repository under its upstream, unproved, and makes the store usable at last', async () => {
  for (const name of ['library/redis', 'a/b', 'a/b/c', 'redis', 'mirror/x']) await hold(name);
  const moves = await adopt();
  expect(moves.map(({ from, to }) => `${from} ${to ?? 'nowhere'}`).sort()).toEqual([
    'a/b mirror/a/b',
    'a/b/c mirror/a/b/c',
    'library/redis mirror/library/redis',
    'mirror/x mirror/mirror/x',
    'redis mirror/library/redis',
  ]);
  for (const { to } of moves) {
    expect(await isWhole(to!)).toBe(true);
    expect((await store.index.origins.get(to!, signal))?.verdict).toBe('unknown');
  }
  expect(
    (await store.index.catalog.repositories(signal)).every((name) => name.startsWith('mirror/')),
  ).toBe(true);
  expect(await isRefused()).toBe(false);
  expect(await adopt()).toEqual([]);
});

test('takes another upstream, whose names of one part stay as they are', async () => {
  await hold('app');
  expect(await adopt(false, quay)).toEqual([{ from: 'app', to: 'quay.io/app' }]);
  expect(await store.index.origins.get(repository('quay.io/app'), signal)).toMatchObject({
    upstreamUrl: 'https://quay.io',
    upstreamRepository: 'app',
  });
});

test('tells what it would do, and writes nothing, when it is asked to', async () => {
  await hold('library/redis');
  expect(await adopt(true)).toEqual([{ from: 'library/redis', to: 'mirror/library/redis' }]);
  expect(await isWhole('library/redis')).toBe(true);
  expect(await isWhole('mirror/library/redis')).toBe(false);
  expect(await isRefused()).toBe(true);
});

test('leaves a name out that would be too long, and the rest of the store usable', async () => {
  const long = `a/${'b'.repeat(250)}`;
  await hold(long);
  await hold('a/c');
  expect(await adopt()).toEqual([
    { from: long, to: undefined },
    { from: 'a/c', to: 'mirror/a/c' },
  ]);
});

test('goes on where it was stopped', async () => {
  for (const name of ['library/a', 'library/b']) await hold(name);
  const moves = new CacheAdoption(store.records, hub).run(false, signal);
  await moves.next();
  await moves.return(undefined);
  expect(await isRefused()).toBe(true);
  expect(await adopt()).toHaveLength(1);
  expect(await isWhole('mirror/library/a')).toBe(true);
  expect(await isWhole('mirror/library/b')).toBe(true);
});
