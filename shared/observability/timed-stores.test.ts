import { describe, expect, test } from '@jest/globals';

import type { Clock } from '../lifecycle/clock.ts';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName, type UploadId } from '../oci/reference.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { DigestMismatchError, StorageError, UploadUnknownError } from '../storage/errors.ts';
import type { RecordStore } from '../storage/record-store.ts';
import type { UploadReaper, UploadSession, UploadStore } from '../storage/upload-store.ts';
import { type Observer, UNOBSERVED } from './observer.ts';
import { timedBlobStore, timedRecordStore, timedUploadStore } from './timed-stores.ts';

const signal = new AbortController().signal;
const digest = digestOf(Buffer.from('x'));
const repo = parseRepositoryName('a/b')!;
const session: UploadSession = {
  id: '00000000-0000-4000-8000-000000000000' as UploadId,
  repository: repo,
  startedAt: new Date(0),
  offset: 0,
};

/** Every reading of the clock is a quarter of a second after the one before. */
function watch(): { seen: [string, number, boolean][]; observer: Observer; clock: Clock } {
  const seen: [string, number, boolean][] = [];
  let now = 0;
  return {
    seen,
    observer: {
      ...UNOBSERVED,
      store: (...observation) => seen.push(observation),
    },
    clock: {
      now: () => new Date(0),
      monotonicMs: () => (now += 250),
      sleep: () => Promise.resolve(),
    },
  };
}

/** Every store at once; each method answers the same. */
const answering = (
  answer: () => Promise<unknown>,
): RecordStore & BlobStore & UploadStore & UploadReaper =>
  new Proxy({}, { get: () => answer }) as RecordStore & BlobStore & UploadStore & UploadReaper;

async function callAll(
  answer: () => Promise<unknown>,
  given = signal,
): Promise<{ seen: [string, number, boolean][]; results: PromiseSettledResult<unknown>[] }> {
  const { seen, observer, clock } = watch();
  const records = timedRecordStore(answering(answer), observer, clock);
  const blobs = timedBlobStore(answering(answer), observer, clock);
  const uploads = timedUploadStore(answering(answer), observer, clock);
  const bytes = Buffer.from('x');
  const calls = [
    () => records.get('k', given),
    () => records.put('k', bytes, given),
    () => records.delete('k', given),
    () => records.deleteTree('k', given),
    () => records.list('k', {}, given),
    () => blobs.stat(digest, given),
    () => blobs.open(digest, undefined, given),
    () => blobs.read(digest, 1, given),
    () => blobs.put(digest, bytes, 1, given),
    () => blobs.delete(digest, given),
    () => uploads.create(repo, undefined, given),
    () => uploads.find(repo, session.id, given),
    () => uploads.append(session, 0, undefined as never, given),
    () => uploads.commit(session, digest, given),
    () => uploads.cancel(session, given),
    () => uploads.reap(repo, new Date(0), given),
  ];
  const results: PromiseSettledResult<unknown>[] = [];
  for (const call of calls) results.push(...(await Promise.allSettled([call()])));
  return { seen, results };
}

describe('timed stores', () => {
  test('tell each operation once with its seconds, and hand on its result', async () => {
    const { seen, results } = await callAll(() => Promise.resolve('result'));
    expect(seen.map(([operation]) => operation)).toEqual([
      'record.get',
      'record.put',
      'record.delete',
      'record.deleteTree',
      'record.list',
      'blob.stat',
      'blob.open',
      'blob.read',
      'blob.put',
      'blob.delete',
      'upload.create',
      'upload.find',
      'upload.append',
      'upload.commit',
      'upload.cancel',
      'upload.reap',
    ]);
    for (const [, seconds, isFault] of seen) expect([seconds, isFault]).toEqual([0.25, false]);
    for (const result of results) expect(result).toEqual({ status: 'fulfilled', value: 'result' });
  });

  test('count a StorageError as a fault of the store, and hand it on', async () => {
    const error = new StorageError('any', 'disk full');
    const { seen, results } = await callAll(() => Promise.reject(error));
    expect(seen).toHaveLength(16);
    for (const [, , isFault] of seen) expect(isFault).toBe(true);
    for (const result of results) expect(result).toEqual({ status: 'rejected', reason: error });
  });

  test("do not blame the store for a client's error or for a client that left", async () => {
    const aborted = AbortSignal.abort();
    const cases: [Error, AbortSignal][] = [
      [new DigestMismatchError('wrong'), signal],
      [new UploadUnknownError('upload.append', 'gone'), signal],
      [new Error('the connection broke'), signal],
      [new StorageError('any', 'aborted'), aborted],
    ];
    for (const [error, given] of cases) {
      const { seen } = await callAll(() => Promise.reject(error), given);
      expect(seen).toHaveLength(16);
      for (const [, , isFault] of seen) expect(isFault).toBe(false);
    }
  });
});
