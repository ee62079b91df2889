import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import type { S3StorageConfig } from '../../shared/config/config.ts';
import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import { blobKey } from '../../shared/storage/object-keys.ts';
import { S3BlobStore } from '../../shared/storage/s3/s3-blob-store.ts';
import { createS3Client, type StoreClient } from '../../shared/storage/s3/s3-client.ts';
import { defaultDeadlines } from '../../shared/storage/s3/s3-deadlines.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { patternBytes, readAll, unending } from '../../shared/storage/testing/contract-support.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { s3StorageConfig } from '../support/s3-storage-config.ts';
import { type S3Server, startMinio, startVersitygw } from '../support/start-s3.ts';
import { waitFor } from '../support/wait-for.ts';

const SERVERS = [
  { name: 'minio', start: startMinio },
  { name: 'versitygw', start: startVersitygw },
] as const;
const LENGTH = 600_000;
const MAX_PULLS = 3;
/** Longer than a busy machine keeps bytes back that are on their way. */
const IDLE_MS = 1_500;
const slowDown = { kind: 'refuse', status: 503, code: 'SlowDown' } as const;

describe.each(SERVERS)('over $name', ({ name, start }) => {
  describeWithTools([name], `blobs in a bucket of ${name}`, () => {
    let server: S3Server;
    let proxy: S3FaultProxy;
    let client: StoreClient;
    let config: S3StorageConfig;
    let blobs: S3BlobStore;
    let records: S3RecordStore;
    let bytes: Buffer;
    let digest: Digest;
    let seed = 0;

    beforeAll(async () => {
      server = await start();
      proxy = await startS3FaultProxy(server.endpoint);
    });
    afterAll(async () => {
      await proxy.stop();
      await server.stop();
    });
    beforeEach(async () => {
      config = s3StorageConfig(server, {
        endpoint: proxy.endpoint,
        prefix: `pulls/${randomUUID()}`,
        maxPulls: MAX_PULLS,
      });
      // A client each: the retry budget of one is not used up by another test.
      client = createS3Client(config);
      blobs = blobsWithin(IDLE_MS);
      records = new S3RecordStore(client, config);
      bytes = patternBytes(LENGTH, (seed += 1));
      digest = digestOf(bytes);
      await blobs.put(digest, bytes, undefined, unending);
      proxy.clear();
    });
    afterEach(() => {
      proxy.clear();
      client.destroy();
    });

    const blobsWithin = (idleMs: number): S3BlobStore =>
      new S3BlobStore(client, config, { ...defaultDeadlines, idleMs });
    const open = async (range?: {
      kind: 'from';
      first: number;
      last?: number;
    }): Promise<Readable> => (await blobs.open(digest, range, unending))!.stream;
    const gets = (): number =>
      proxy.seen.filter(({ operation }) => operation === 'GetObject').length;

    describe('whose body breaks', () => {
      test.each(['cut', 'stall'] as const)(
        'come whole, without the reader noticing (%s)',
        async (kind) => {
          proxy.inject({ operation: 'GetObject', fault: { kind, afterBytes: 250_000 } });
          expect((await readAll(await open())).equals(bytes)).toBe(true);
          expect(gets()).toBe(3);
        },
      );

      test('come whole in the part that was asked for', async () => {
        proxy.inject({ operation: 'GetObject', fault: { kind: 'cut', afterBytes: 150_000 } });
        const part = await readAll(await open({ kind: 'from', first: 1000, last: 400_999 }));
        expect(part.equals(bytes.subarray(1000, 401_000))).toBe(true);
        expect(gets()).toBe(3);
      });

      test('come whole to a reader that takes its time', async () => {
        proxy.inject({ operation: 'GetObject', fault: { kind: 'cut', afterBytes: 250_000 } });
        const chunks: Buffer[] = [];
        for await (const chunk of await open()) {
          chunks.push(chunk as Buffer);
          if (chunks.length % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 50));
        }
        expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      });

      /** The first body is cut, and the store is silent for a while when asked for the rest. */
      const breakSlowly = async (): Promise<Readable> => {
        const cut = { kind: 'cut', afterBytes: 100_000 } as const;
        proxy.inject({ operation: 'GetObject', times: 1, fault: cut });
        proxy.inject({ operation: 'GetObject', times: 1, fault: { kind: 'stall', afterBytes: 0 } });
        return await open();
      };

      test('break when other bytes have taken their place meanwhile', async () => {
        const broken = await breakSlowly();
        await records.put(blobKey(digest), patternBytes(LENGTH, 999), unending);
        await expect(readAll(broken)).rejects.toThrow(StorageError);
      });

      test('break when the object is gone meanwhile', async () => {
        const broken = await breakSlowly();
        await blobs.delete(digest, unending);
        await expect(readAll(broken)).rejects.toThrow(StorageError);
      });

      test('are not asked for again when the reader has left', async () => {
        proxy.inject({ operation: 'GetObject', fault: { kind: 'stall', afterBytes: 100_000 } });
        blobs = blobsWithin(300);
        const stream = await open();
        stream.destroy();
        await new Promise((resolve) => setTimeout(resolve, 700));
        expect(gets()).toBe(1);
      });
    });

    describe('that slow clients read', () => {
      test('are refused beyond the limit, while everything else goes on', async () => {
        const held = await Promise.all(Array.from({ length: MAX_PULLS }, () => open()));
        await expect(open()).rejects.toThrow('are being read already');
        await records.put('twinport/v1/record', Buffer.from('x'), unending);
        expect((await records.get('twinport/v1/record', unending))?.toString()).toBe('x');
        expect(await blobs.stat(digest, unending)).toMatchObject({ size: LENGTH });
        expect((await blobs.read(digest, LENGTH, unending))?.equals(bytes)).toBe(true);
        held[0]!.destroy();
        const next = await waitFor(() => open(), { what: 'a place' });
        expect((await readAll(next)).equals(bytes)).toBe(true);
        for (const stream of held) stream.destroy();
      });

      test('give their places back however they end', async () => {
        const absent = digestOf(Buffer.from(randomUUID()));
        for (let round = 0; round < 2 * MAX_PULLS; round += 1) {
          expect(await blobs.open(absent, undefined, unending)).toBeUndefined();
          const none = { kind: 'from', first: LENGTH } as const;
          await expect(blobs.open(digest, none, unending)).rejects.toThrow();
          (await open()).destroy();
          await readAll(await open());
        }
      });
    });

    test('small ones are read again when they break, and large ones are refused', async () => {
      proxy.inject({ operation: 'GetObject', times: 2, fault: { kind: 'cut', afterBytes: 1000 } });
      expect((await blobs.read(digest, LENGTH, unending))?.equals(bytes)).toBe(true);
      await expect(blobs.read(digest, LENGTH - 1, unending)).rejects.toThrow(StorageError);
      expect(await blobs.read(digestOf(Buffer.from('no')), 10, unending)).toBeUndefined();
    });

    test('a store that slows everybody down gets at most half a request more for each that it answers', async () => {
      // Refusing everything uses the burst up.
      const burst = 200;
      proxy.inject({ operation: 'HeadObject', fault: slowDown });
      const heads = (): number =>
        proxy.seen.filter(({ operation }) => operation === 'HeadObject').length;
      const few = 60;
      const refused = await Promise.allSettled(
        Array.from({ length: few }, () => blobs.stat(digest, unending)),
      );
      expect(refused.every(({ status }) => status === 'rejected')).toBe(true);
      // The quick way, which the SDK stands behind, was tried by each of them.
      expect(heads()).toBeLessThanOrEqual(few + few + burst);
      proxy.clear();
      proxy.inject({ operation: 'HeadObject', every: 3, fault: slowDown });
      const asked = 400;
      const results = [];
      for (let round = 0; round < asked / 40; round += 1) {
        results.push(
          ...(await Promise.allSettled(
            Array.from({ length: 40 }, () => blobs.stat(digest, unending)),
          )),
        );
      }
      const answered = results.filter(({ status }) => status === 'fulfilled').length;
      expect(heads()).toBeLessThanOrEqual(asked + answered / 2);
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(StorageError);
        else expect(result.value).toMatchObject({ size: LENGTH });
      }
    });
  });
});
