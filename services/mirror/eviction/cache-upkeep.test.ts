import { setImmediate } from 'node:timers/promises';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { createTempStore, type TempStore } from '../../../shared/content/testing/temp-store.ts';
import { RecordedEdge, until } from '../../../shared/http/testing/recorded-edge.ts';
import { ProcessHints } from '../../../shared/index/store/process-hints.ts';
import { ProcessLeases } from '../../../shared/index/store/process-leases.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { digestOf } from '../../../shared/oci/digest.ts';
import { CacheUpkeep } from './cache-upkeep.ts';

const INTERVAL_SECONDS = 600;
const MAX_BYTES = 10_000;
const unending = new AbortController().signal;

interface Mirror {
  readonly upkeep: CacheUpkeep;
  readonly edge: RecordedEdge;
  /** How often it looked through the cache. */
  looks: number;
  /** What a look does; nothing unless it is said. */
  look: () => Promise<void>;
  ended: Promise<void>;
}

let clock: ManualClock;
let store: TempStore;
let lifetime: AbortController;
let mirrors: Mirror[];

beforeEach(async () => {
  clock = new ManualClock();
  store = await createTempStore();
  lifetime = new AbortController();
  mirrors = [];
});
afterEach(async () => {
  lifetime.abort();
  await Promise.all(mirrors.map(({ ended }) => ended));
  await store.remove();
});

/** Mirrors that share a Redis or, of them alone, a process. */
async function start(count: number, budgets = [MAX_BYTES]): Promise<Mirror[]> {
  const shared = { leases: new ProcessLeases(clock), hints: new ProcessHints(clock) };
  mirrors = Array.from({ length: count }, () => startOne(shared, budgets));
  await asleep();
  return mirrors;
}

function startOne(
  shared: { readonly leases: ProcessLeases; readonly hints: ProcessHints },
  budgets: readonly number[],
): Mirror {
  const edge = new RecordedEdge();
  const upkeep = new CacheUpkeep({
    ...shared,
    clock,
    log: edge.log,
    observer: edge.observer,
    config: {
      maxBytes: MAX_BYTES,
      highPercent: 95,
      lowPercent: 85,
      minAgeSeconds: 0,
      pins: [],
      intervalSeconds: INTERVAL_SECONDS,
    },
    eviction: {
      budgets: budgets.map((maxBytes) => ({ project: undefined, maxBytes })),
      run: async () => {
        mirror.looks += 1;
        await mirror.look();
        return { images: 0, blobs: 0, bytes: 0 };
      },
    },
  });
  const mirror: Mirror = {
    upkeep,
    edge,
    looks: 0,
    look: () => Promise.resolve(),
    ended: upkeep.run(lifetime.signal),
  };
  return mirror;
}

const asleep = (): Promise<void> => until(() => clock.sleepers === mirrors.length);
async function pass(seconds: number): Promise<void> {
  clock.advance(seconds * 1000);
  // Those that it wakes are told of it before long.
  await setImmediate();
  await asleep();
}
const looks = (): number => mirrors.reduce((sum, mirror) => sum + mirror.looks, 0);

test('the cache is looked through half a minute after the start, and then once in an interval', async () => {
  await start(1);
  expect(looks()).toBe(0);
  await pass(30);
  expect(looks()).toBe(1);
  for (let seconds = 30; seconds < INTERVAL_SECONDS; seconds += 30) await pass(30);
  expect(looks()).toBe(1);
  await pass(30);
  expect(looks()).toBe(2);
});

test('of several mirrors one looks in an interval, and each that has stored a part of the budget since', async () => {
  const [first] = await start(3);
  await pass(30);
  await pass(30);
  expect(looks()).toBe(1);
  const blobs = first!.upkeep.counting(store.blobs);
  const put = (size: number): Promise<unknown> => {
    const bytes = Buffer.alloc(size, looks());
    return blobs.put(digestOf(bytes), bytes, bytes.length, unending);
  };
  await put(MAX_BYTES * 0.02);
  await pass(30);
  expect(looks()).toBe(1);
  await put(1);
  await pass(30);
  expect(looks()).toBe(2);
  await pass(30);
  expect(looks()).toBe(2);
});

test('nobody looks while another one does, and who was told by what it stored looks afterwards', async () => {
  const [first, second] = await start(2);
  const gate = Promise.withResolvers<undefined>();
  for (const mirror of [first!, second!]) mirror.look = () => gate.promise;
  const bytes = Buffer.alloc(MAX_BYTES);
  for (const { upkeep } of [first!, second!]) {
    await upkeep.counting(store.blobs).put(digestOf(bytes), bytes, bytes.length, unending);
  }
  clock.advance(30_000);
  await until(() => looks() === 1 && clock.sleepers === 1);
  clock.advance(30_000);
  await setImmediate();
  await until(() => clock.sleepers === 1);
  expect(looks()).toBe(1);
  gate.resolve(undefined);
  await asleep();
  await pass(30);
  expect([first!.looks, second!.looks]).toEqual([1, 1]);
});

test('a look that fails is told, counted, and tried again', async () => {
  const [mirror] = await start(1);
  mirror!.look = () => Promise.reject(new Error('the store is down'));
  await pass(30);
  expect(mirror!.edge.lines).toMatchObject([
    { level: 'warn', message: 'evicting cached images failed' },
  ]);
  await pass(INTERVAL_SECONDS);
  expect(looks()).toBe(2);
});

test('a look that fails after much was stored is not put off for an interval', async () => {
  const [mirror] = await start(1);
  const bytes = Buffer.alloc(MAX_BYTES);
  await mirror!.upkeep.counting(store.blobs).put(digestOf(bytes), bytes, bytes.length, unending);
  mirror!.look = () => Promise.reject(new Error('the store is down'));
  await pass(30);
  expect(looks()).toBe(1);
  mirror!.look = () => Promise.resolve();
  await pass(30);
  expect(looks()).toBe(2);
  await pass(30);
  expect(looks()).toBe(2);
});

test('a look that fails is another mirror’s to take', async () => {
  const [first, second] = await start(2);
  for (const mirror of [first!, second!]) {
    mirror.look = () =>
      looks() === 1 ? Promise.reject(new Error('the store is down')) : Promise.resolve();
  }
  await pass(30);
  await pass(30);
  expect([first!.looks, second!.looks]).toEqual([1, 1]);
});

test('without a budget nobody ever looks', async () => {
  await start(1, []);
  await pass(30);
  await pass(INTERVAL_SECONDS);
  expect(looks()).toBe(0);
});
