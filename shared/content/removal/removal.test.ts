import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { createStoreIndex } from '../../index/store/create-store-index.ts';
import { ManualClock } from '../../index/testing/manual-clock.ts';
import { until } from '../../http/testing/recorded-edge.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { type RepositoryName } from '../../oci/reference.ts';
import type { BlobBody } from '../../storage/blob-store.ts';
import { deletingFolder } from '../../storage/object-keys.ts';
import { GatedRecordStore } from '../../../test/support/gated-record-store.ts';
import { LocalContent } from '../local-content.ts';
import { ManifestStore } from '../manifest-store.ts';
import { createTempStore, type TempStore } from '../testing/temp-store.ts';
import { AbandonedMarks } from './abandoned-marks.ts';
import { DeletingMarks } from './deleting-marks.ts';
import { removeBlobs, type RemovedBlobs } from './remove-blobs.ts';
import { RemovalGuard } from './removal-guard.ts';
import { REMOVAL_TIMING as timing } from './removal-timing.ts';

const WAIT_MS = timing.viewMs + timing.relianceMs;
const signal = new AbortController().signal;
const TEAM = 'team/app' as RepositoryName;
const CACHED = 'mirror/library/app' as RepositoryName;

describe('removing blobs that nobody links', () => {
  let store: TempStore;
  let records: GatedRecordStore;
  let clock: ManualClock;
  let blob: Digest;
  const bytes = Buffer.from('the bytes of a layer');

  beforeEach(async () => {
    store = await createTempStore();
    records = new GatedRecordStore(store.records);
    clock = new ManualClock();
    blob = digestOf(bytes);
    await store.blobs.put(blob, bytes, bytes.length, signal);
  });
  afterEach(() => store.remove());

  /** A process that uses blobs, with its own view of the marks. */
  function user() {
    const marks = new DeletingMarks({ records, clock, timing, lifetime: signal });
    const { members } = createStoreIndex(records, clock);
    const guard = new RemovalGuard({ blobs: store.blobs, members, marks, clock, timing });
    return { marks, blobs: guard.blobs, members: guard.members };
  }

  function remover(run: { readonly signal?: AbortSignal } = {}): Promise<RemovedBlobs> {
    const marks = new DeletingMarks({ records, clock, timing, lifetime: signal });
    const { catalog } = createStoreIndex(records, clock);
    const { blobs } = store;
    const options = { records, blobs, marks, clock, timing, catalog, redirectSeconds: 0 };
    const removal = removeBlobs([blob], options, run.signal ?? signal);
    removal.catch(() => undefined);
    return removal;
  }

  const isStored = async (): Promise<boolean> =>
    (await store.blobs.stat(blob, signal)) !== undefined;
  const marksLeft = async (): Promise<number> =>
    (await store.records.list(deletingFolder, {}, signal)).length;

  test('removes it after the wait and leaves no mark', async () => {
    const removal = remover();
    await until(() => clock.sleepers === 1);
    clock.advance(WAIT_MS - 1);
    expect(await isStored()).toBe(true);
    clock.advance(1);
    expect(await removal).toEqual({ removed: [blob], bytes: bytes.length, unsure: [] });
    expect([await isStored(), await marksLeft()]).toEqual([false, 0]);
  });

  test('leaves alone what any repository links, of either kind', async () => {
    await store.index.members.add(TEAM, 'manifest', blob, signal);
    expect(await remover()).toEqual({ removed: [], bytes: 0, unsure: [] });
    expect([await isStored(), await marksLeft()]).toEqual([true, 0]);
  });

  test('a blob that was linked just before its mark is pulled all the while, also where clients are sent to the store', async () => {
    const { blobs, members, marks } = user();
    const index = createStoreIndex(records, clock);
    const links = { sign: () => Promise.resolve('http://store.test/blob') };
    const manifests = new ManifestStore(blobs, index, undefined, 0);
    const content = new LocalContent({ blobs, index, links, manifests });
    await members.add(TEAM, 'blob', blob, signal);
    const pull = (): Promise<unknown> =>
      content.blob(TEAM, blob, { range: undefined, mayRedirect: true }, signal);
    expect(await pull()).toEqual({ url: 'http://store.test/blob' });
    const owner = randomUUID();
    await marks.put({ digest: blob, owner, phase: 'waiting' }, signal);
    clock.advance(timing.viewMs + 1);
    expect(await pull()).toEqual({ url: 'http://store.test/blob' });
    // A run that looked before the link was there, and has not seen yet that it is to be kept.
    clock.advance(timing.abandonedMs / 2);
    await marks.put({ digest: blob, owner, phase: 'removing' }, signal);
    const body = (await pull()) as BlobBody | undefined;
    expect(await buffer(body!.stream)).toEqual(bytes);
  });

  test('a blob that waits to go is there for whoever asks for it, and then it stays', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    const other = user();
    expect(await other.blobs.stat(blob, signal)).toMatchObject({ size: bytes.length });
    clock.advance(WAIT_MS);
    expect((await removal).removed).toEqual([]);
    expect(await isStored()).toBe(true);
    // The next run may have it, when nobody needed it after all.
    clock.advance(timing.abandonedMs);
    const abandoned = new AbandonedMarks({ marks: other.marks, clock, timing });
    await abandoned.drop(signal);
    clock.advance(timing.abandonedMs);
    await abandoned.drop(signal);
    const next = remover();
    await until(() => clock.sleepers >= 1);
    clock.advance(WAIT_MS);
    expect((await next).removed).toEqual([blob]);
  });

  test('a blob that is about to be deleted is not there for whoever asks', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    const gate = records.gate('after', 'list', 'deleting');
    clock.advance(WAIT_MS);
    await gate.reached;
    expect(await user().blobs.stat(blob, signal)).toBeUndefined();
    gate.release();
    expect((await removal).removed).toEqual([blob]);
  });

  test('what is not there is found out without waiting for the marks', async () => {
    const { blobs } = user();
    const marks = records.gate('before', 'list', deletingFolder);
    expect(await blobs.stat(digestOf(Buffer.from('never stored')), signal)).toBeUndefined();
    await marks.reached;
    marks.release();
  });

  test('a blob that went while its mark was read is not there', async () => {
    const { blobs, marks } = user();
    await marks.put({ digest: blob, owner: randomUUID(), phase: 'waiting' }, signal);
    const keep = records.gate('before', 'put', deletingFolder);
    const asked = blobs.stat(blob, signal);
    await keep.reached;
    await store.blobs.delete(blob, signal);
    keep.release();
    expect(await asked).toBeUndefined();
  });

  test('who asks often for a blob that waits to go leaves one mark for it', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    const other = user();
    for (let round = 0; round < 5; round += 1) await other.blobs.stat(blob, signal);
    expect(await marksLeft()).toBe(2);
    clock.advance(WAIT_MS);
    await removal;
  });

  test('a blob that was pushed between the look of a run and its mark is there all the while', async () => {
    const gate = records.gate('before', 'put', 'waiting');
    const removal = remover();
    await gate.reached;
    const pusher = user();
    await pusher.blobs.put(blob, bytes, bytes.length, signal);
    await pusher.members.add(TEAM, 'blob', blob, signal);
    gate.release();
    // Whoever pushed looks at the marks again in a while, and the run waits.
    await until(() => clock.sleepers >= 2);
    clock.advance(timing.viewMs + 1);
    for (const asker of [pusher, user()]) {
      expect(await asker.blobs.stat(blob, signal)).toMatchObject({ size: bytes.length });
    }
    clock.advance(WAIT_MS);
    expect((await removal).removed).toEqual([]);
  });

  test('a link that was so long on its way that the blob went meanwhile is not acknowledged', async () => {
    const other = user();
    await other.blobs.stat(blob, signal);
    const gate = records.gate('before', 'put', '_layers');
    const added = other.members.add(TEAM, 'blob', blob, signal).then(
      () => 'linked',
      (error: unknown) => error,
    );
    await gate.reached;
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    clock.advance(WAIT_MS);
    expect((await removal).removed).toEqual([blob]);
    gate.release();
    expect(await added).toMatchObject({ code: 'UNAVAILABLE', status: 503 });
    expect(await user().blobs.stat(blob, signal)).toBeUndefined();
  });

  test('a link that was long on its way to a blob that stays is written once', async () => {
    const other = user();
    await other.blobs.stat(blob, signal);
    const gate = records.gate('before', 'put', '_layers');
    const added = other.members.add(TEAM, 'blob', blob, signal);
    await gate.reached;
    clock.advance(timing.relianceMs + 1);
    gate.release();
    await added;
    expect(records.operations.filter((operation) => /^put .*_layers/.test(operation))).toHaveLength(
      1,
    );
  });

  test('whoever saw the blob before it was marked links it in time, and it stays', async () => {
    const other = user();
    await other.blobs.stat(blob, signal);
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    clock.advance(timing.relianceMs / 2);
    await other.members.add(TEAM, 'blob', blob, signal);
    clock.advance(WAIT_MS);
    expect((await removal).removed).toEqual([]);
    expect(await isStored()).toBe(true);
  });

  test('a push of the blob while it waits to go keeps it', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    const other = user();
    await other.blobs.put(blob, bytes, bytes.length, signal);
    await other.members.add(TEAM, 'blob', blob, signal);
    clock.advance(WAIT_MS);
    expect((await removal).removed).toEqual([]);
    expect(await isStored()).toBe(true);
  });

  test('a push whose link comes after the last look at the links keeps it by a mark', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    const gate = records.gate('before', 'put', 'removing');
    clock.advance(WAIT_MS);
    await gate.reached;
    const other = user();
    await other.blobs.put(blob, bytes, bytes.length, signal);
    await other.members.add(TEAM, 'blob', blob, signal);
    gate.release();
    expect((await removal).removed).toEqual([]);
    expect(await isStored()).toBe(true);
  });

  test('a push that meets the delete itself waits for its end, and is refused when the bytes are gone', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    const gate = records.gate('after', 'list', 'deleting');
    clock.advance(WAIT_MS);
    await gate.reached;
    const other = user();
    const added = other.members.add(TEAM, 'blob', blob, signal).then(
      () => 'linked',
      (error: unknown) => error,
    );
    await until(async () => (await marksLeft()) === 3 && clock.sleepers >= 1);
    gate.release();
    await removal;
    clock.advance(1000);
    expect(await added).toMatchObject({ code: 'UNAVAILABLE', status: 503 });
    expect(await store.index.members.has(TEAM, 'blob', blob, signal)).toBe(false);
    // The client pushes again.
    await other.blobs.put(blob, bytes, bytes.length, signal);
    await other.members.add(TEAM, 'blob', blob, signal);
    expect(await isStored()).toBe(true);
  });

  test('a run that was stopped for long before its delete does not delete', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    const gate = records.gate('after', 'list', 'deleting');
    clock.advance(WAIT_MS);
    await gate.reached;
    clock.advance(timing.finalMs + 1);
    gate.release();
    expect((await removal).removed).toEqual([]);
    expect([await isStored(), await marksLeft()]).toEqual([true, 0]);
  });

  test('a run whose marks were dropped as those of a dead one does not delete', async () => {
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    await store.records.deleteTree(deletingFolder, signal);
    clock.advance(WAIT_MS);
    expect((await removal).removed).toEqual([]);
    expect(await isStored()).toBe(true);
  });

  test('when anything cannot be read nothing is removed', async () => {
    await store.index.members.add(CACHED, 'blob', digestOf(Buffer.from('another')), signal);
    const removal = remover();
    await until(() => clock.sleepers >= 1);
    records.fail('list', '_layers');
    clock.advance(WAIT_MS);
    await expect(removal).rejects.toThrow('fail');
    expect([await isStored(), await marksLeft()]).toEqual([true, 0]);
  });

  test('two runs at once remove it once', async () => {
    const runs = [remover(), remover()];
    await until(() => clock.sleepers === 2);
    clock.advance(WAIT_MS);
    const removed = (await Promise.all(runs)).flatMap((run) => run.removed);
    expect(removed.length).toBeGreaterThanOrEqual(1);
    expect([await isStored(), await marksLeft()]).toEqual([false, 0]);
  });

  test('marks of a run that died are dropped by the clock of whoever sees them', async () => {
    const { marks } = user();
    await marks.put({ digest: blob, owner: crypto.randomUUID(), phase: 'removing' }, signal);
    const abandoned = new AbandonedMarks({ marks, clock, timing });
    expect(await abandoned.drop(signal)).toBe(0);
    clock.advance(timing.abandonedFinalMs - 1);
    expect(await abandoned.drop(signal)).toBe(0);
    clock.advance(1);
    expect(await abandoned.drop(signal)).toBe(1);
    expect(await user().blobs.stat(blob, signal)).toBeDefined();
  });

  test('a long push that began before the mark came and went looks at the blob again', async () => {
    const other = user();
    const published = other.marks.whileWatched(blob, signal, async () => {
      const removal = remover();
      await until(() => clock.sleepers >= 2);
      for (let ms = 0; ms < WAIT_MS; ms += timing.viewMs / 2) {
        clock.advance(timing.viewMs / 2);
        await until(() => clock.sleepers >= 1);
      }
      await removal;
    });
    expect((await published).isClean).toBe(false);
  });

  test('a short push asks the store for the marks once', async () => {
    const other = user();
    for (let round = 0; round < 5; round += 1) {
      await other.blobs.put(blob, bytes, bytes.length, signal);
      await other.members.add(TEAM, 'blob', blob, signal);
    }
    const looks = records.operations.filter((operation) => operation === `list ${deletingFolder}`);
    expect(looks).toHaveLength(1);
  });
});
