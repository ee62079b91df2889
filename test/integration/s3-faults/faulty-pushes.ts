import { describe, expect, test } from '@jest/globals';

import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { DigestMismatchError, StorageError } from '../../../shared/storage/errors.ts';
import { blobKey, multipartFolder } from '../../../shared/storage/object-keys.ts';
import { S3BlobStore } from '../../../shared/storage/s3/s3-blob-store.ts';
import { S3UploadStore } from '../../../shared/storage/s3/s3-upload-store.ts';
import {
  hangingStreamOf,
  readAll,
  streamOf,
  unending,
} from '../../../shared/storage/testing/contract-support.ts';
import { listKeys, listOpenMultiparts } from '../../support/list-bucket.ts';
import type { S3Operation } from '../../support/s3-fault-proxy.ts';
import { SMALLEST_PART_BYTES as PART } from '../../support/s3-storage-config.ts';
import {
  broken,
  errorIn200,
  loseAnswer,
  type Push,
  repo,
  type S3FaultLab,
  slowDown,
} from './s3-fault-lab.ts';

/** What a push leaves when the bucket fails on the way: all or nothing. */
export function testFaultyPushes(lab: S3FaultLab): void {
  /** Each way to store a blob with each operation that it needs. */
  const STEPS: readonly [string, S3Operation, () => Push, number][] = [
    ['a small blob', 'PutObject', () => lab.put, 1000],
    ['a small blob', 'HeadObject', () => lab.put, 1000],
    ['a large blob', 'CreateMultipartUpload', () => lab.put, 2 * PART + 1],
    ['a large blob', 'UploadPart', () => lab.put, 2 * PART + 1],
    ['a large blob', 'CompleteMultipartUpload', () => lab.put, 2 * PART + 1],
    ['a large blob', 'DeleteObject', () => lab.put, 2 * PART + 1],
    ['a small upload', 'PutObject', () => lab.upload, 1000],
    ['a small upload', 'HeadObject', () => lab.upload, 1000],
    ['a small upload over several replicas', 'GetObject', () => lab.uploadAround, 1000],
    ['a small upload over several replicas', 'ListObjects', () => lab.uploadAround, 1000],
    ['a middle upload', 'PutObject', () => lab.upload, 100_000],
    ['a middle upload', 'DeleteObject', () => lab.upload, 100_000],
    ['a large upload', 'CreateMultipartUpload', () => lab.upload, PART + 1],
    ['a large upload', 'UploadPart', () => lab.upload, PART + 1],
    ['a large upload', 'CompleteMultipartUpload', () => lab.upload, PART + 1],
    ['a large upload', 'CopyObject', () => lab.upload, PART + 1],
    ['a very large upload', 'UploadPartCopy', () => lab.upload, 2 * PART + 1],
  ];

  test.each(STEPS)('stores %s although each second %s is refused', async (...step) => {
    const [, operation, push, length] = step;
    const { bytes, digest } = lab.fresh(length);
    lab.proxy.inject({ operation, skip: -1, every: 2, fault: slowDown });
    await push()(bytes, digest);
    expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    await lab.reapAll();
  });

  test('stores what many push at once to a bucket that refuses 30 % of all requests', async () => {
    lab.proxy.inject({ share: 0.3, fault: slowDown });
    const contents = Array.from({ length: 40 }, (_, i) => lab.fresh(i % 8 === 0 ? PART + 1 : 1000));
    const pushes = await Promise.allSettled(
      contents.map(({ bytes, digest }) => lab.upload(bytes, digest)),
    );
    expect(pushes.filter(({ status }) => status === 'rejected')).toEqual([]);
    const tries = lab.proxy.seen.length;
    lab.proxy.clear();
    for (const { bytes, digest } of contents)
      expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    // 30 % is 1.43 tries for each request; the rest is what the way past the SDK asks first.
    expect(tries).toBeLessThan(1.7 * (35 * 12 + 5 * 20));
    await lab.reapAll();
  });

  test.each(STEPS)('stores %s although the answer to its first %s is lost', async (...step) => {
    const [, operation, push, length] = step;
    const { bytes, digest } = lab.fresh(length);
    lab.proxy.inject({ operation, times: 1, fault: loseAnswer });
    await push()(bytes, digest);
    expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    await lab.reapAll();
  });

  test.each(
    STEPS.filter(([, operation]) => !['DeleteObject', 'DeleteObjects'].includes(operation)),
  )('makes nothing visible of %s when every %s fails', async (...step) => {
    const [, operation, push, length] = step;
    const { bytes, digest } = lab.fresh(length);
    lab.proxy.inject({ operation, fault: broken });
    await expect(push()(bytes, digest)).rejects.toThrow(StorageError);
    expect(await lab.stored(digest)).toBeUndefined();
    lab.proxy.clear();
    if (push() === lab.put && operation !== 'CreateMultipartUpload')
      expect(await lab.leftovers()).toEqual([]);
    await push()(bytes, digest);
    expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    await lab.reapAll();
  });

  describe.each(['', '\n'])('given a 200 that carries an error and ends by %j', (end) => {
    test.each(
      STEPS.filter(([, operation]) =>
        ['CompleteMultipartUpload', 'CopyObject', 'UploadPartCopy'].includes(operation),
      ),
    )('never takes it for the success of %s by %s', async (...step) => {
      const [, operation, push, length] = step;
      const { bytes, digest } = lab.fresh(length);
      lab.proxy.inject({ operation, fault: errorIn200(end) });
      await expect(push()(bytes, digest)).rejects.toThrow(StorageError);
      expect(await lab.stored(digest)).toBeUndefined();
      lab.proxy.clear();
      await push()(bytes, digest);
      expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
      await lab.reapAll();
    });
  });

  describe('when a commit breaks off after the staged object was completed', () => {
    test.each([
      ['known', PART + 1, 1],
      ['not known', PART + 1, 2],
      ['known, without a tail', 2 * PART, 1],
    ])(
      'goes on from there on another replica, its digest being %s',
      async (_label, length, chunks) => {
        const { bytes, digest } = lab.fresh(length);
        const replica = new S3UploadStore(lab.client, lab.config);
        let session = await lab.uploads.create(repo, undefined, unending);
        const cut = Math.ceil(length / chunks);
        for (let from = 0; from < length; from += cut) {
          const chunk = streamOf(bytes.subarray(from, from + cut));
          const store = from === 0 ? lab.uploads : replica;
          session = await store.append(session, from, chunk, unending);
        }
        lab.proxy.inject({ operation: 'CopyObject', fault: broken });
        await expect(lab.uploads.commit(session, digest, unending)).rejects.toThrow(StorageError);
        expect(await lab.stored(digest)).toBeUndefined();
        const found = await replica.find(repo, session.id, unending);
        expect(await replica.commit(found!, digest, unending)).toEqual({ size: length });
        expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
        await lab.reapAll();
      },
    );

    test('still refuses a wrong digest then, and drops the staged object', async () => {
      const { bytes, digest } = lab.fresh(PART + 1);
      const session = await lab.uploads.create(repo, undefined, unending);
      const appended = await lab.uploads.append(session, 0, streamOf(bytes), unending);
      lab.proxy.inject({ operation: 'CopyObject', fault: broken });
      await expect(lab.uploads.commit(appended, digest, unending)).rejects.toThrow(StorageError);
      const wrong = lab.fresh(1).digest;
      await expect(lab.uploads.commit(appended, wrong, unending)).rejects.toThrow(
        DigestMismatchError,
      );
      expect(await listKeys(lab.client, lab.config.bucket, lab.config.prefix)).toEqual([]);
      await lab.reapAll();
    });
  });

  test('keeps the parts before the one that the store refused, and goes on from there', async () => {
    const { bytes, digest } = lab.fresh(4 * PART);
    const session = await lab.uploads.create(repo, undefined, unending);
    lab.proxy.inject({ operation: 'UploadPart', skip: 1, fault: broken });
    const body = streamOf(bytes);
    await expect(lab.uploads.append(session, 0, body, unending)).rejects.toThrow(StorageError);
    lab.proxy.clear();
    const found = await lab.uploads.find(repo, session.id, unending);
    expect([0, PART]).toContain(found!.offset);
    const rest = streamOf(bytes.subarray(found!.offset));
    const appended = await lab.uploads.append(found!, found!.offset, rest, unending);
    await lab.uploads.commit(appended, digest, unending);
    expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    await lab.reapAll();
  });

  test('leaves the body open when the store fails, so that the client can still be answered', async () => {
    const { bytes } = lab.fresh(3 * PART);
    const session = await lab.uploads.create(repo, undefined, unending);
    lab.proxy.inject({ operation: 'CreateMultipartUpload', fault: broken });
    const body = hangingStreamOf(bytes, () => undefined);
    await expect(lab.uploads.append(session, 0, body, unending)).rejects.toThrow(StorageError);
    expect(body.destroyed).toBe(false);
    body.destroy();
    await lab.reapAll();
  });

  test('keeps what a client sent that went away, although its signal has aborted', async () => {
    const { bytes, digest } = lab.fresh(PART + 1000);
    const session = await lab.uploads.create(repo, undefined, unending);
    const gone = new AbortController();
    const body = hangingStreamOf(bytes, () => {
      gone.abort(new Error('the client is gone'));
    });
    await expect(lab.uploads.append(session, 0, body, gone.signal)).rejects.toBeDefined();
    const found = await lab.uploads.find(repo, session.id, unending);
    expect(found!.offset).toBeGreaterThanOrEqual(PART);
    const rest = streamOf(bytes.subarray(found!.offset));
    const appended = await lab.uploads.append(found!, found!.offset, rest, unending);
    await lab.uploads.commit(appended, digest, unending);
    expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    await lab.reapAll();
  });

  test('leaves nothing of a blob that nobody wants any more while its upload begins', async () => {
    const { bytes, digest } = lab.fresh(PART + 1000);
    const gone = new AbortController();
    const body = hangingStreamOf(bytes, () => undefined);
    const putting = lab.blobs.put(digest, body, undefined, gone.signal);
    const isOwner = ({ key }: { key: string }): boolean => key.includes(`${multipartFolder}/`);
    await until(() => lab.proxy.seen.some(isOwner));
    gone.abort(new Error('the client is gone'));
    await expect(putting).rejects.toBeDefined();
    expect(await listKeys(lab.client, lab.config.bucket, lab.config.prefix)).toEqual([]);
    expect(await listOpenMultiparts(lab.client, lab.config.bucket, lab.config.prefix)).toEqual([]);
  });

  test('stores a blob again while a slow reader holds it open, and does not break the reader', async () => {
    const { bytes, digest } = lab.fresh(3 * PART);
    await lab.put(bytes, digest);
    const opened = await new S3BlobStore(lab.client, lab.config).open(digest, undefined, unending);
    lab.proxy.clear();
    await lab.put(bytes, digest);
    await lab.upload(bytes, digest);
    await lab.blobs.put(digest, bytes, undefined, unending);
    // MinIO keeps a writer waiting for as long as anybody reads the object, and here nobody reads on.
    const writes = new Set(['PutObject', 'CopyObject', 'CompleteMultipartUpload']);
    const isWrite = ({ operation, key }: { operation: string; key: string }): boolean =>
      writes.has(operation) && key.endsWith(blobKey(digest));
    expect(lab.proxy.seen.filter(isWrite)).toEqual([]);
    expect((await readAll(opened!.stream)).equals(bytes)).toBe(true);
    await lab.reapAll();
  });
}
