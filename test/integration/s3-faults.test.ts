import { randomUUID } from 'node:crypto';

import type { S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import type { S3StorageConfig } from '../../shared/config/config.ts';
import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { parseRepositoryName } from '../../shared/oci/reference.ts';
import { DigestMismatchError, StorageError } from '../../shared/storage/errors.ts';
import { blobKey, multipartFolder, uploadsFolder } from '../../shared/storage/object-keys.ts';
import { S3BlobStore } from '../../shared/storage/s3/s3-blob-store.ts';
import { createS3Client } from '../../shared/storage/s3/s3-client.ts';
import { defaultDeadlines, type S3Deadlines } from '../../shared/storage/s3/s3-deadlines.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { S3UploadStore } from '../../shared/storage/s3/s3-upload-store.ts';
import {
  hangingStreamOf,
  patternBytes,
  readAll,
  streamOf,
  unending,
} from '../../shared/storage/testing/contract-support.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { listKeys, listOpenMultiparts } from '../support/list-bucket.ts';
import {
  type S3FaultProxy,
  type S3Operation,
  startS3FaultProxy,
} from '../support/s3-fault-proxy.ts';
import { s3StorageConfig, SMALLEST_PART_BYTES } from '../support/s3-storage-config.ts';
import { type S3Server, startMinio } from '../support/start-s3.ts';
import { waitFor } from '../support/wait-for.ts';

const PART = SMALLEST_PART_BYTES;
const repo = parseRepositoryName('faults/repository')!;
const slowDown = { kind: 'refuse', status: 503, code: 'SlowDown' } as const;
const broken = { kind: 'refuse', status: 500, code: 'InternalError' } as const;
const loseAnswer = { kind: 'lose-answer' } as const;
const errorIn200 = (end: string) =>
  ({
    kind: 'answer',
    status: 200,
    body: `<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>${end}`,
  }) as const;
const tomorrow = (): Date => new Date(Date.now() + 86_400_000);

/** What a push of one blob of `length` bytes does to the store. */
type Push = (bytes: Buffer, digest: Digest) => Promise<void>;

describeWithTools(['minio'], 'The S3 store, when S3 misbehaves,', () => {
  let server: S3Server;
  let proxy: S3FaultProxy;
  /** Straight to the server. */
  let client: S3Client;
  /** Through the proxy. */
  let faulty: S3Client;
  let config: S3StorageConfig;
  let records: S3RecordStore;
  let blobs: S3BlobStore;
  let uploads: S3UploadStore;
  let seed = 0;

  beforeAll(async () => {
    server = await startMinio();
    proxy = await startS3FaultProxy(server.endpoint);
    client = createS3Client(s3StorageConfig(server));
    faulty = createS3Client(s3StorageConfig({ ...server, endpoint: proxy.endpoint }));
  }, 60_000);
  afterAll(async () => {
    client.destroy();
    faulty.destroy();
    await proxy.stop();
    await server.stop();
  });
  beforeEach(() => {
    config = s3StorageConfig(server, { prefix: `faults/${randomUUID()}` });
    records = new S3RecordStore(faulty, config);
    blobs = new S3BlobStore(faulty, config);
    uploads = new S3UploadStore(faulty, config);
  });
  afterEach(() => {
    proxy.clear();
  });

  const fresh = (length: number): { bytes: Buffer; digest: Digest } => {
    const bytes = patternBytes(length, (seed += 1));
    return { bytes, digest: digestOf(bytes) };
  };
  /** What is there in truth, past the proxy. */
  const stored = async (digest: Digest): Promise<Buffer | undefined> => {
    const body = await new S3BlobStore(client, config).open(digest, undefined, unending);
    return body && readAll(body.stream);
  };
  const leftovers = async (): Promise<string[]> => [
    ...(await listOpenMultiparts(client, config.bucket, config.prefix)),
    ...(await listKeys(client, config.bucket, `${config.prefix}/${multipartFolder}/`)),
  ];
  const reapAll = async (): Promise<void> => {
    await new S3UploadStore(client, config).reap(repo, tomorrow(), unending);
    expect(await leftovers()).toEqual([]);
    expect(await records.list(uploadsFolder(repo), {}, unending)).toEqual([]);
  };
  const put: Push = async (bytes, digest) => {
    await blobs.put(digest, streamOf(bytes), undefined, unending);
  };
  /** As three requests do it: each looks the session up. */
  const upload: Push = async (bytes, digest) => {
    const { id } = await uploads.create(repo, undefined, unending);
    const session = await uploads.find(repo, id, unending);
    await uploads.append(session!, 0, streamOf(bytes), unending);
    const appended = await uploads.find(repo, id, unending);
    await uploads.commit(appended!, digest, unending);
  };
  const hurried = (changes: Partial<S3Deadlines>): S3Deadlines => ({
    ...defaultDeadlines,
    ...changes,
  });

  /** Each way to store a blob with each operation that it needs. */
  const STEPS: readonly [string, S3Operation, () => Push, number][] = [
    ['a small blob', 'PutObject', () => put, 1000],
    ['a small blob', 'HeadObject', () => put, 1000],
    ['a large blob', 'CreateMultipartUpload', () => put, 2 * PART + 1],
    ['a large blob', 'UploadPart', () => put, 2 * PART + 1],
    ['a large blob', 'CompleteMultipartUpload', () => put, 2 * PART + 1],
    ['a large blob', 'DeleteObject', () => put, 2 * PART + 1],
    ['a small upload', 'PutObject', () => upload, 1000],
    ['a small upload', 'GetObject', () => upload, 1000],
    ['a small upload', 'ListObjects', () => upload, 1000],
    ['a middle upload', 'PutObject', () => upload, 100_000],
    ['a middle upload', 'DeleteObjects', () => upload, 100_000],
    ['a large upload', 'CreateMultipartUpload', () => upload, PART + 1],
    ['a large upload', 'UploadPart', () => upload, PART + 1],
    ['a large upload', 'CompleteMultipartUpload', () => upload, PART + 1],
    ['a large upload', 'CopyObject', () => upload, PART + 1],
    ['a very large upload', 'UploadPartCopy', () => upload, 2 * PART + 1],
  ];

  test.each(STEPS)('stores %s although each second %s is refused', async (...step) => {
    const [, operation, push, length] = step;
    const { bytes, digest } = fresh(length);
    proxy.inject({ operation, skip: -1, every: 2, fault: slowDown });
    await push()(bytes, digest);
    expect((await stored(digest))?.equals(bytes)).toBe(true);
    await reapAll();
  });

  test.each(STEPS)('stores %s although the answer to its first %s is lost', async (...step) => {
    const [, operation, push, length] = step;
    const { bytes, digest } = fresh(length);
    proxy.inject({ operation, times: 1, fault: loseAnswer });
    await push()(bytes, digest);
    expect((await stored(digest))?.equals(bytes)).toBe(true);
    await reapAll();
  });

  test.each(
    STEPS.filter(([, operation]) => !['DeleteObject', 'DeleteObjects'].includes(operation)),
  )('makes nothing visible of %s when every %s fails', async (...step) => {
    const [, operation, push, length] = step;
    const { bytes, digest } = fresh(length);
    proxy.inject({ operation, fault: broken });
    await expect(push()(bytes, digest)).rejects.toThrow(StorageError);
    expect(await stored(digest)).toBeUndefined();
    proxy.clear();
    if (push() === put && operation !== 'CreateMultipartUpload')
      expect(await leftovers()).toEqual([]);
    await push()(bytes, digest);
    expect((await stored(digest))?.equals(bytes)).toBe(true);
    await reapAll();
  });

  describe.each(['', '\n'])('given a 200 that carries an error and ends by %j', (end) => {
    test.each(
      STEPS.filter(([, operation]) =>
        ['CompleteMultipartUpload', 'CopyObject', 'UploadPartCopy'].includes(operation),
      ),
    )('never takes it for the success of %s by %s', async (...step) => {
      const [, operation, push, length] = step;
      const { bytes, digest } = fresh(length);
      proxy.inject({ operation, fault: errorIn200(end) });
      await expect(push()(bytes, digest)).rejects.toThrow(StorageError);
      expect(await stored(digest)).toBeUndefined();
      proxy.clear();
      await push()(bytes, digest);
      expect((await stored(digest))?.equals(bytes)).toBe(true);
      await reapAll();
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
        const { bytes, digest } = fresh(length);
        const replica = new S3UploadStore(client, config);
        let session = await uploads.create(repo, undefined, unending);
        const cut = Math.ceil(length / chunks);
        for (let from = 0; from < length; from += cut) {
          const chunk = streamOf(bytes.subarray(from, from + cut));
          const store = from === 0 ? uploads : replica;
          session = await store.append(session, from, chunk, unending);
        }
        proxy.inject({ operation: 'CopyObject', fault: broken });
        await expect(uploads.commit(session, digest, unending)).rejects.toThrow(StorageError);
        expect(await stored(digest)).toBeUndefined();
        const found = await replica.find(repo, session.id, unending);
        expect(await replica.commit(found!, digest, unending)).toEqual({ size: length });
        expect((await stored(digest))?.equals(bytes)).toBe(true);
        await reapAll();
      },
    );

    test('still refuses a wrong digest then, and drops the staged object', async () => {
      const { bytes, digest } = fresh(PART + 1);
      const session = await uploads.create(repo, undefined, unending);
      const appended = await uploads.append(session, 0, streamOf(bytes), unending);
      proxy.inject({ operation: 'CopyObject', fault: broken });
      await expect(uploads.commit(appended, digest, unending)).rejects.toThrow(StorageError);
      const wrong = fresh(1).digest;
      await expect(uploads.commit(appended, wrong, unending)).rejects.toThrow(DigestMismatchError);
      expect(await listKeys(client, config.bucket, config.prefix)).toEqual([]);
      await reapAll();
    });
  });

  test('keeps the parts before the one that the store refused, and goes on from there', async () => {
    const { bytes, digest } = fresh(4 * PART);
    const session = await uploads.create(repo, undefined, unending);
    proxy.inject({ operation: 'UploadPart', skip: 1, fault: broken });
    const body = streamOf(bytes);
    await expect(uploads.append(session, 0, body, unending)).rejects.toThrow(StorageError);
    proxy.clear();
    const found = await uploads.find(repo, session.id, unending);
    expect([0, PART]).toContain(found!.offset);
    const rest = streamOf(bytes.subarray(found!.offset));
    const appended = await uploads.append(found!, found!.offset, rest, unending);
    await uploads.commit(appended, digest, unending);
    expect((await stored(digest))?.equals(bytes)).toBe(true);
    await reapAll();
  });

  test('leaves the body open when the store fails, so that the client can still be answered', async () => {
    const { bytes } = fresh(3 * PART);
    const session = await uploads.create(repo, undefined, unending);
    proxy.inject({ operation: 'CreateMultipartUpload', fault: broken });
    const body = hangingStreamOf(bytes, () => undefined);
    await expect(uploads.append(session, 0, body, unending)).rejects.toThrow(StorageError);
    expect(body.destroyed).toBe(false);
    body.destroy();
    await reapAll();
  });

  test('keeps what a client sent that went away, although its signal has aborted', async () => {
    const { bytes, digest } = fresh(PART + 1000);
    const session = await uploads.create(repo, undefined, unending);
    const gone = new AbortController();
    const body = hangingStreamOf(bytes, () => {
      gone.abort(new Error('the client is gone'));
    });
    await expect(uploads.append(session, 0, body, gone.signal)).rejects.toBeDefined();
    const found = await uploads.find(repo, session.id, unending);
    expect(found!.offset).toBeGreaterThanOrEqual(PART);
    const rest = streamOf(bytes.subarray(found!.offset));
    const appended = await uploads.append(found!, found!.offset, rest, unending);
    await uploads.commit(appended, digest, unending);
    expect((await stored(digest))?.equals(bytes)).toBe(true);
    await reapAll();
  });

  describe('when a body breaks', () => {
    test.each(['cut', 'stall'] as const)('reads a record again (%s)', async (kind) => {
      records = new S3RecordStore(faulty, config, hurried({ idleMs: 200 }));
      const bytes = patternBytes(50_000, 7);
      await records.put('twinport/v1/record', bytes, unending);
      proxy.inject({ operation: 'GetObject', times: 2, fault: { kind, afterBytes: 20_000 } });
      expect((await records.get('twinport/v1/record', unending))?.equals(bytes)).toBe(true);
    });

    test.each(['cut', 'stall'] as const)(
      'gives no record but a fault in the end (%s)',
      async (kind) => {
        records = new S3RecordStore(faulty, config, hurried({ idleMs: 200 }));
        await records.put('twinport/v1/record', patternBytes(50_000, 7), unending);
        proxy.inject({ operation: 'GetObject', times: 1, fault: { kind, afterBytes: 20_000 } });
        proxy.inject({ operation: 'GetObject', fault: { kind, afterBytes: 0 } });
        await expect(records.get('twinport/v1/record', unending)).rejects.toThrow(StorageError);
      },
    );

    test.each(['cut', 'stall'] as const)(
      'breaks the stream of a blob, never ends it (%s)',
      async (kind) => {
        blobs = new S3BlobStore(faulty, config, hurried({ idleMs: 200 }));
        const { bytes, digest } = fresh(500_000);
        await blobs.put(digest, bytes, undefined, unending);
        for (const range of [undefined, { kind: 'from', first: 100 } as const]) {
          proxy.clear();
          const first = { kind, afterBytes: 300_000 };
          proxy.inject({ operation: 'GetObject', times: 1, fault: first });
          proxy.inject({ operation: 'GetObject', fault: { kind, afterBytes: 0 } });
          const opened = await blobs.open(digest, range, unending);
          let received = 0;
          await expect(
            (async () => {
              for await (const chunk of opened!.stream) received += (chunk as Buffer).length;
            })(),
          ).rejects.toBeDefined();
          expect(received).toBeLessThanOrEqual(300_000);
        }
      },
    );

    test('does not blame the store for a reader that takes its time', async () => {
      blobs = new S3BlobStore(faulty, config, hurried({ idleMs: 50 }));
      const { bytes, digest } = fresh(3 * PART);
      await blobs.put(digest, bytes, undefined, unending);
      const opened = await blobs.open(digest, undefined, unending);
      const parts: Buffer[] = [];
      for await (const chunk of opened!.stream) {
        parts.push(chunk as Buffer);
        // Longer than the store may be silent for.
        if (parts.length === 3) await new Promise((resolve) => setTimeout(resolve, 300));
      }
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    });
  });

  describe('when nothing is answered', () => {
    const deadlines = hurried({ firstByteMs: 300, operationMs: 600, heavyOperationMs: 600 });

    test('ends every operation by its deadline and gives its connections up', async () => {
      const impatient = createS3Client(
        s3StorageConfig({ ...server, endpoint: proxy.endpoint }),
        deadlines,
      );
      const { bytes, digest } = fresh(100);
      const store = new S3BlobStore(impatient, config, deadlines);
      const hung = new S3RecordStore(impatient, config, deadlines);
      const operations: S3Operation[] = [
        'GetObject',
        'PutObject',
        'HeadObject',
        'DeleteObject',
        'ListObjects',
      ];
      for (const operation of operations) proxy.inject({ operation, fault: { kind: 'hang' } });
      const started = performance.now();
      const results = await Promise.allSettled([
        hung.get('twinport/v1/x', unending),
        hung.put('twinport/v1/x', bytes, unending),
        hung.delete('twinport/v1/x', unending),
        hung.list('twinport/v1', {}, unending),
        hung.deleteTree('twinport/v1', unending),
        store.stat(digest, unending),
        store.open(digest, undefined, unending),
        store.put(digest, bytes, undefined, unending),
      ]);
      expect(performance.now() - started).toBeLessThan(5_000);
      for (const result of results) {
        expect(result.status === 'rejected' && result.reason).toBeInstanceOf(StorageError);
      }
      const before = proxy.openConnections;
      impatient.destroy();
      await waitFor(() => before === 0 || proxy.openConnections < before, {
        what: 'the connections to be closed',
      });
    });

    test('ends at once when the signal aborts', async () => {
      proxy.inject({ operation: 'GetObject', fault: { kind: 'hang' } });
      const controller = new AbortController();
      const reading = records.get('twinport/v1/x', controller.signal);
      await waitFor(() => proxy.seen.length > 0, { what: 'the request' });
      controller.abort(new Error('the client is gone'));
      await expect(reading).rejects.toThrow('the client is gone');
    });
  });

  test('hides a store that refuses a third of all requests from nearly everybody', async () => {
    for (const operation of ['PutObject', 'GetObject', 'DeleteObject'] as const) {
      proxy.inject({ operation, every: 3, fault: slowDown });
    }
    // The other tests have used up the retry budget of their client.
    const rested = createS3Client(s3StorageConfig({ ...server, endpoint: proxy.endpoint }));
    records = new S3RecordStore(rested, config);
    const keys = Array.from({ length: 80 }, (_, i) => `twinport/v1/records/${i}`);
    const results = await Promise.allSettled(
      keys.map(async (key) => {
        await records.put(key, Buffer.from(key), unending);
        expect((await records.get(key, unending))?.toString()).toBe(key);
        await records.delete(key, unending);
        expect(await records.get(key, unending)).toBeUndefined();
      }),
    );
    rested.destroy();
    const faults = results.filter((result) => result.status === 'rejected');
    for (const { reason } of faults) expect(reason).toBeInstanceOf(StorageError);
    // Four tries each: about one request in a hundred is out of luck, of four a key needs.
    expect(faults.length).toBeLessThan(keys.length / 5);
  });

  test('takes a missing bucket for a fault, never for an empty store', async () => {
    const missing = { ...config, bucket: `missing-${randomUUID()}` };
    const store = new S3BlobStore(client, missing);
    const none = new S3RecordStore(client, missing);
    const sessions = new S3UploadStore(client, missing);
    const { digest } = fresh(1);
    await expect(none.get('twinport/v1/x', unending)).rejects.toThrow(StorageError);
    await expect(none.list('twinport/v1', {}, unending)).rejects.toThrow(StorageError);
    await expect(none.delete('twinport/v1/x', unending)).rejects.toThrow(StorageError);
    await expect(store.stat(digest, unending)).rejects.toThrow(StorageError);
    await expect(store.open(digest, undefined, unending)).rejects.toThrow(StorageError);
    await expect(sessions.create(repo, undefined, unending)).rejects.toThrow(StorageError);
    await expect(sessions.reap(repo, new Date(), unending)).rejects.toThrow(StorageError);
  });

  describe('deleting a tree', () => {
    const fill = async (): Promise<void> => {
      for (const name of ['a', 'b', 'c/d']) {
        await records.put(`twinport/v1/tree/${name}`, Buffer.from(name), unending);
      }
    };
    const left = () => records.list('twinport/v1/tree', {}, unending);

    test('does it one by one where the store has no batches', async () => {
      await fill();
      const fault = { kind: 'refuse', status: 501, code: 'NotImplemented' } as const;
      proxy.inject({ operation: 'DeleteObjects', fault });
      await records.deleteTree('twinport/v1/tree', unending);
      expect(await left()).toEqual([]);
    });

    test('tries those again that a batch reports as failed, and fails when that fails', async () => {
      await fill();
      const key = `${config.prefix}/twinport/v1/tree/b`;
      const body = `<DeleteResult><Error><Key>${key}</Key><Code>InternalError</Code></Error></DeleteResult>`;
      proxy.inject({ operation: 'DeleteObjects', fault: { kind: 'answer', status: 200, body } });
      proxy.inject({ operation: 'DeleteObject', fault: broken });
      await expect(records.deleteTree('twinport/v1/tree', unending)).rejects.toThrow(StorageError);
      proxy.clear();
      await records.deleteTree('twinport/v1/tree', unending);
      expect(await left()).toEqual([]);
    });
  });

  test('removes what a crash left of a large blob, from its record', async () => {
    const { bytes, digest } = fresh(2 * PART + 1);
    proxy.inject({ operation: 'UploadPart', fault: broken });
    proxy.inject({ operation: 'AbortMultipartUpload', fault: broken });
    await expect(put(bytes, digest)).rejects.toThrow(StorageError);
    expect(await leftovers()).toHaveLength(2);
    proxy.clear();
    expect(await uploads.reap(repo, new Date(0), unending)).toBe(0);
    expect(await leftovers()).toHaveLength(2);
    await reapAll();
  });

  test('removes a multipart upload that a crash left before its id was recorded', async () => {
    const { bytes, digest } = fresh(2 * PART + 1);
    proxy.inject({ operation: 'CreateMultipartUpload', fault: loseAnswer });
    await expect(put(bytes, digest)).rejects.toThrow(StorageError);
    const session = await uploads.create(repo, undefined, unending);
    await expect(uploads.append(session, 0, streamOf(bytes), unending)).rejects.toThrow(
      StorageError,
    );
    proxy.clear();
    const keys = await listOpenMultiparts(client, config.bucket, config.prefix);
    expect(new Set(keys).size).toBe(2);
    await uploads.cancel(session, unending);
    expect(new Set(await listOpenMultiparts(client, config.bucket, config.prefix))).toEqual(
      new Set([`${config.prefix}/${blobKey(digest)}`]),
    );
    await reapAll();
  });

  test('stores a blob again while a slow reader holds it open, and does not break the reader', async () => {
    const { bytes, digest } = fresh(3 * PART);
    await put(bytes, digest);
    const opened = await new S3BlobStore(client, config).open(digest, undefined, unending);
    proxy.clear();
    await put(bytes, digest);
    await upload(bytes, digest);
    await blobs.put(digest, bytes, undefined, unending);
    // MinIO keeps a writer waiting for as long as anybody reads the object, and here nobody reads on.
    const writes = new Set(['PutObject', 'CopyObject', 'CompleteMultipartUpload']);
    const isWrite = ({ operation, key }: { operation: string; key: string }): boolean =>
      writes.has(operation) && key.endsWith(blobKey(digest));
    expect(proxy.seen.filter(isWrite)).toEqual([]);
    expect((await readAll(opened!.stream)).equals(bytes)).toBe(true);
    await reapAll();
  });

  test('sends each byte of a session a bounded number of times, however small its chunks', async () => {
    const { bytes, digest } = fresh(PART + 100_000);
    let session = await uploads.create(repo, undefined, unending);
    const chunkBytes = 40_000;
    let chunks = 0;
    for (let from = 0; from < bytes.length; from += chunkBytes, chunks += 1) {
      const chunk = streamOf(bytes.subarray(from, from + chunkBytes));
      session = await uploads.append(session, from, chunk, unending);
    }
    await uploads.commit(session, digest, unending);
    const sent = proxy.seen.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
    expect(sent).toBeLessThan(4 * bytes.length);
    expect(proxy.seen.length).toBeLessThan(8 * chunks);
    expect((await stored(digest))?.equals(bytes)).toBe(true);
    await reapAll();
  });

  test('asks little of the store for the small blobs of which most pushes consist', async () => {
    const { bytes, digest } = fresh(2_000);
    await upload(bytes, digest);
    expect(proxy.seen.length).toBeLessThanOrEqual(10);
  });
});
