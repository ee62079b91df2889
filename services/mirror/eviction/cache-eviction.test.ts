import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { createTempStore, type TempStore } from '../../../shared/content/testing/temp-store.ts';
import { REMOVAL_TIMING as timing } from '../../../shared/content/removal/removal-timing.ts';
import { PatternRecords, PINNED } from '../../../shared/content/pattern-records.ts';
import { parseReferencePattern } from '../../../shared/content/reference-pattern.ts';
import { AbandonedMarks } from '../../../shared/content/removal/abandoned-marks.ts';
import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { digestOf } from '../../../shared/oci/digest.ts';
import type { RepositoryName, Tag } from '../../../shared/oci/reference.ts';
import {
  deletingFolder,
  evictionFolder,
  evictionKey,
} from '../../../shared/storage/object-keys.ts';
import { auditStore } from '../../../shared/storage/testing/audit-store.ts';
import { isFullRun } from '../../../test/support/sizes.ts';
import { type FixtureImage, makeImage, makeIndex } from '../../../test/support/oci-fixtures.ts';
import { evictCached } from './evict-cached.ts';
import {
  digestIn,
  type LabProcess,
  type LabStores,
  markCached,
  openProcess,
  putImage,
  putManifest,
} from './testing/eviction-lab.ts';

const HOUR_MS = 3_600_000;
const WAIT_MS = timing.viewMs + timing.relianceMs;
const signal = new AbortController().signal;
const CACHED = 'mirror/library/app' as RepositoryName;
const PUSHED = 'team/app' as RepositoryName;

/** Moves by hand, and shows the system's date: stores date their records by that. */
class DatedClock extends ManualClock {
  readonly #startMs = Date.now() - this.monotonicMs();

  override now(): Date {
    return new Date(this.#startMs + this.monotonicMs());
  }
}

let store: TempStore;
let clock: DatedClock;
let lab: LabProcess;

beforeEach(async () => {
  store = await createTempStore();
  clock = new DatedClock();
  lab = openProcess(store, clock);
  await markCached(lab, CACHED);
});
afterEach(async () => {
  try {
    expect(await auditStore(store.records, store.blobs)).toEqual([]);
  } finally {
    await store.remove();
  }
});

const bytesOf = ({ blobs, manifest }: FixtureImage): number =>
  [...blobs, manifest].reduce((sum, { bytes }) => sum + bytes.length, 0);

async function stored(image: FixtureImage): Promise<number> {
  const all = [image.manifest, ...image.blobs].map(digestIn);
  const found = await Promise.all(all.map((digest) => store.blobs.stat(digest, signal)));
  return found.filter((stat) => stat !== undefined).length;
}

/** Uses the image an hour after everything before. */
async function use(image: FixtureImage, repository = CACHED): Promise<void> {
  clock.advance(HOUR_MS);
  lab.lastUse.touch(repository, digestIn(image.manifest));
  await lab.lastUse.flush(signal);
}

/** Lets the time pass that the work waits for, until it is over or dead. */
async function passing<Result>(
  work: Promise<Result>,
  isDead = (): boolean => false,
): Promise<Result | 'dead'> {
  const state = { isOver: false };
  const over = work.finally(() => (state.isOver = true));
  over.catch(() => undefined);
  while (!state.isOver) {
    await until(() => state.isOver || isDead() || clock.sleepers > 0);
    if (isDead()) return 'dead';
    if (clock.sleepers > 0) clock.advance(WAIT_MS);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return over;
}

const foldersLeft = async (): Promise<string[]> =>
  (
    await Promise.all(
      [deletingFolder, evictionFolder].map((folder) => store.records.list(folder, {}, signal)),
    )
  ).flatMap((children) => children.map(({ name }) => name));

describe('keeping the cache within its budget', () => {
  test('evicts the longest unused images and keeps the others, byte for byte', async () => {
    const images = [makeImage(), makeImage(), makeImage()];
    for (const [at, image] of images.entries()) await putImage(lab, CACHED, `${at}`, image);
    for (const at of [1, 2, 0]) await use(images[at]!);
    clock.advance(2 * HOUR_MS);
    const total = images.reduce((sum, image) => sum + bytesOf(image), 0);
    const eviction = lab.eviction({ maxBytes: total - 1, lowPercent: 60 });
    const { plan, heldBytes } = await eviction.survey(signal);
    expect(heldBytes).toBe(total);
    expect(plan.units.map(({ tags }) => tags)).toEqual([['1'], ['2']]);
    expect(await passing(eviction.run(signal))).toEqual({
      images: 2,
      blobs: 6,
      bytes: bytesOf(images[1]!) + bytesOf(images[2]!),
    });
    expect(await Promise.all(images.map(stored))).toEqual([3, 0, 0]);
    expect(await lab.index.tags.list(CACHED, signal)).toEqual(['0']);
    expect(await foldersLeft()).toEqual([]);
    expect((await eviction.survey(signal)).plan.units).toEqual([]);
  });

  test('what was pushed stays, and so does every blob that it links', async () => {
    const image = makeImage();
    await putImage(lab, CACHED, '1', image);
    await putImage(lab, PUSHED, '1', image);
    const pushedAlone = makeImage();
    await putImage(lab, PUSHED, '2', pushedAlone);
    const cachedAlone = makeImage();
    await putImage(lab, CACHED, '2', cachedAlone);
    clock.advance(HOUR_MS);
    const { heldBytes } = await lab.eviction().survey(signal);
    expect(heldBytes).toBe(bytesOf(cachedAlone));
    await passing(lab.eviction().run(signal));
    expect(await Promise.all([image, pushedAlone, cachedAlone].map(stored))).toEqual([3, 3, 0]);
    expect(await lab.index.tags.list(PUSHED, signal)).toEqual(['1', '2']);
  });

  test('what an image needs that came after the survey stays, also where an evicted one needed it', async () => {
    const old = makeImage();
    await putImage(lab, CACHED, '1', old);
    clock.advance(2 * HOUR_MS);
    const { plan, holdings, units, usedBefore } = await lab.eviction().survey(signal);
    expect(plan.units).toHaveLength(1);
    // Its blobs are linked already, so that it is held from the start.
    const document = JSON.parse(old.manifest.bytes.toString()) as object;
    const bytes = Buffer.from(JSON.stringify({ ...document, annotations: { version: '2' } }));
    const { mediaType } = old.manifest;
    await putManifest(lab, CACHED, { bytes, mediaType, digest: digestOf(bytes) }, ['2' as Tag]);

    const { catalog } = lab.index;
    const { records, blobs } = store;
    const run = { ...lab, records, blobs, catalog, clock, timing, redirectSeconds: 0 };
    const context = { holdings, all: units, usedBefore };
    await passing(evictCached(plan.units, context, run, signal));
    expect(await lab.index.tags.list(CACHED, signal)).toEqual(['2']);
    for (const blob of old.blobs) {
      expect(await store.blobs.stat(digestIn(blob), signal)).toBeDefined();
      expect(await lab.index.members.has(CACHED, 'blob', digestIn(blob), signal)).toBe(true);
    }
  });

  test('a pinned image stays, with the children of a pinned index; pins come from both places', async () => {
    const index = makeIndex(['amd64']);
    const child = index.images[0]!;
    const [byTag, loose] = [makeImage(), makeImage()];
    await putImage(lab, CACHED, 'child', child);
    await putManifest(lab, CACHED, index.manifest, ['22' as Tag]);
    await putImage(lab, CACHED, 'kept', byTag);
    await putImage(lab, CACHED, 'other', loose);
    clock.advance(HOUR_MS);
    const pins = new PatternRecords(store.records, PINNED);
    await pins.add(parseReferencePattern(`${CACHED}:ke*`, [])!, 'the demo', clock, signal);
    const eviction = lab.eviction({ pins: ['docker.io/app:22*'] });
    await passing(eviction.run(signal));
    expect(await Promise.all([child, byTag, loose].map(stored))).toEqual([3, 3, 0]);
    expect(await lab.index.tags.list(CACHED, signal)).toEqual(['22', 'child', 'kept']);
    expect(lab.edge.lines.map(({ message }) => message)).toContain(
      'the cache cannot be kept within its budget: what is left is pinned or was used too lately',
    );
  });

  test('what was used within the minimum age stays, also when that use came after the plan', async () => {
    const [early, late] = [makeImage(), makeImage()];
    await putImage(lab, CACHED, 'early', early);
    await putImage(lab, CACHED, 'late', late);
    clock.advance(48 * HOUR_MS);
    await use(late);
    await passing(lab.eviction({ minAgeSeconds: 24 * 3600 }).run(signal));
    expect(await Promise.all([early, late].map(stored))).toEqual([0, 3]);
  });

  test('what is pulled while the run waits for others to tell what they used stays', async () => {
    const image = makeImage();
    await putImage(lab, CACHED, '1', image);
    clock.advance(HOUR_MS);
    const run = lab.eviction().run(signal);
    await until(() => clock.sleepers > 0);
    const puller = openProcess(store, clock);
    puller.lastUse.touch(CACHED, digestIn(image.manifest));
    await puller.lastUse.flush(signal);
    await passing(run);
    expect(await stored(image)).toBe(3);
  });

  test('what came within the last minute stays, whatever the minimum age', async () => {
    const image = makeImage();
    await putImage(lab, CACHED, '1', image);
    clock.advance(WAIT_MS - 5_000);
    await passing(lab.eviction().run(signal));
    expect(await stored(image)).toBe(3);
  });

  test('bytes that another run has left without links go with the next one, and its record when it is dead', async () => {
    const left = makeImage();
    for (const blob of left.blobs) {
      await store.blobs.put(digestIn(blob), blob.bytes, blob.bytes.length, signal);
    }
    const at = clock.now().toISOString();
    const digests = left.blobs.map(({ digest }) => digest);
    const record = Buffer.from(JSON.stringify({ schemaVersion: 1, at, digests }));
    await store.records.put(evictionKey('other'), record, signal);
    await store.records.put(evictionKey('torn'), Buffer.from('{'), signal);
    await passing(lab.eviction().run(signal));
    expect(await stored(left)).toBe(0);
    expect(await foldersLeft()).toEqual(['other.json', 'torn.json']);
    clock.advance(HOUR_MS);
    await passing(lab.eviction().run(signal));
    expect(await foldersLeft()).toEqual(['torn.json']);
    expect(lab.edge.lines.find(({ level }) => level === 'warn')?.fields).toMatchObject({
      key: evictionKey('torn'),
    });
  });

  test('layers that an image which stays has in common with one that goes, stay', async () => {
    const kept = makeImage({ layerBytes: [500, 600] });
    const [, shared] = kept.blobs;
    await putImage(lab, CACHED, 'kept', kept);
    // The same manifest in another repository holds its blobs by itself.
    const other = 'mirror/library/other' as RepositoryName;
    await markCached(lab, other);
    await putImage(lab, other, 'gone', kept);
    await use(kept, CACHED);
    clock.advance(2 * HOUR_MS);
    await passing(lab.eviction({ minAgeSeconds: 2 * 3600 + 1800 }).run(signal));
    expect(await lab.index.tags.list(other, signal)).toEqual([]);
    expect(await lab.index.members.has(other, 'blob', digestIn(shared!), signal)).toBe(false);
    expect(await stored(kept)).toBe(4);
  });

  test('blobs that no cached manifest names go too, by the age of their link', async () => {
    const image = makeImage();
    await putImage(lab, CACHED, '1', image);
    await lab.index.members.remove(CACHED, 'manifest', digestIn(image.manifest), signal);
    await lab.index.tags.delete(CACHED, '1' as Tag, signal);
    clock.advance(HOUR_MS);
    await passing(lab.eviction().run(signal));
    expect(await stored(image)).toBe(1);
  });

  test('a store that cannot be read in any part loses nothing', async () => {
    const image = makeImage();
    await putImage(lab, CACHED, '1', image);
    await putImage(lab, PUSHED, '1', makeImage());
    clock.advance(HOUR_MS);
    for (const part of ['list docker', PUSHED, 'origin', 'tags', 'revisions', 'data']) {
      const process = openProcess(failing(store, part), clock);
      await expect(passing(process.eviction().run(signal))).rejects.toThrow('fails');
      expect(await stored(image)).toBe(3);
    }
    expect(await lab.index.tags.list(CACHED, signal)).toEqual(['1']);
  });

  test('two runs at once evict the same as one', async () => {
    const images = [makeImage(), makeImage()];
    for (const [at, image] of images.entries()) await putImage(lab, CACHED, `${at}`, image);
    clock.advance(HOUR_MS);
    const other = openProcess(store, clock);
    await passing(Promise.all([lab.eviction().run(signal), other.eviction().run(signal)]));
    expect(await Promise.all(images.map(stored))).toEqual([0, 0]);
    // What one of them found marked by the other it leaves to a later run to look after.
    clock.advance(HOUR_MS);
    await passing(lab.eviction().run(signal));
    expect(await foldersLeft()).toEqual([]);
  });

  test('a run that dies at any step is finished by later ones, and nothing pushed is touched', async () => {
    const kept = makeImage();
    await putImage(lab, PUSHED, '1', kept);
    let steps: number;
    for (let step = 1; ; step += isFullRun() ? 1 : 5) {
      const image = makeImage();
      await putImage(lab, CACHED, '1', image);
      clock.advance(HOUR_MS);
      const death = { step, count: 0, running: 0 };
      const dying = openProcess(dyingAfter(death, store), clock);
      const run = dying.eviction().run(signal);
      const end = await passing(run, () => death.count > step);
      // What was sent to the store before still comes through.
      await until(() => death.running === 0);
      clock.advance(2 * HOUR_MS);
      const abandoned = new AbandonedMarks({ marks: lab.marks, clock, timing });
      await abandoned.drop(signal);
      clock.advance(timing.abandonedMs);
      await abandoned.drop(signal);
      // What is left is finished by one of them.
      await passing(lab.eviction().run(signal));
      expect([step, await stored(image), await stored(kept)]).toEqual([step, 0, 3]);
      expect(await foldersLeft()).toEqual([]);
      steps = step;
      if (end !== 'dead') break;
    }
    // Calls of the store that were once the last: all of them, or each fifth.
    expect(steps).toBeGreaterThan(30);
  });
});

type Call = (...args: readonly unknown[]) => Promise<unknown>;

/** The stores, with `instead` asked before each call. */
function intercepted(
  { records, blobs }: LabStores,
  instead: (call: string) => Promise<void>,
  after = (): void => undefined,
): LabStores {
  const wrap = <Store extends object>(inner: Store): Store =>
    new Proxy(inner, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as unknown;
        if (typeof method !== 'function') return method;
        return async (...args: readonly unknown[]) => {
          await instead(`${String(name)} ${String(args[0])}`);
          return (method as Call).apply(target, [...args]).finally(after);
        };
      },
    });
  return { records: wrap(records), blobs: wrap(blobs) };
}

const failing = (stores: LabStores, part: string): LabStores =>
  intercepted(stores, (call) =>
    call.includes(part) || (part === 'data' && /^(?:read|stat) sha256/.test(call))
      ? Promise.reject(new Error(`${call} fails`))
      : Promise.resolve(),
  );

interface Death {
  readonly step: number;
  count: number;
  running: number;
}

/** After so many calls none comes back: the process is dead. */
const dyingAfter = (death: Death, stores: LabStores): LabStores =>
  intercepted(
    stores,
    () => {
      death.count += 1;
      if (death.count > death.step) return new Promise(() => undefined);
      death.running += 1;
      return Promise.resolve();
    },
    () => {
      death.running -= 1;
    },
  );
