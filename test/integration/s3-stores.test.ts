import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { S3StorageConfig } from '../../shared/config/config.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import { blobKey, multipartFolder } from '../../shared/storage/object-keys.ts';
import { prepareS3 } from '../../shared/storage/s3/prepare-s3.ts';
import { S3BlobStore } from '../../shared/storage/s3/s3-blob-store.ts';
import { createS3Client, type StoreClient } from '../../shared/storage/s3/s3-client.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { S3UploadStore } from '../../shared/storage/s3/s3-upload-store.ts';
import { describeBlobStore } from '../../shared/storage/testing/blob-store-contract.ts';
import { patternBytes, readAll, unending } from '../../shared/storage/testing/contract-support.ts';
import { describeRecordStore } from '../../shared/storage/testing/record-store-contract.ts';
import { describeUploadStore } from '../../shared/storage/testing/upload-store-contract.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { listKeys, listOpenMultiparts } from '../support/list-bucket.ts';
import { s3StorageConfig, SMALLEST_PART_BYTES } from '../support/s3-storage-config.ts';
import { type S3Server, startMinio, startVersitygw } from '../support/start-s3.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const SERVERS = [
  { name: 'minio', start: startMinio },
  { name: 'versitygw', start: startVersitygw },
] as const;
/** versitygw refuses a key that is an object and a folder at once, MinIO leaves the folder out of its listings. */
const isFlat = false;
const SIZES = { partBytes: SMALLEST_PART_BYTES };

describe.each(SERVERS)('over $name', ({ name, start }) => {
  describeWithTools([name], `a bucket of ${name}`, () => {
    let server: S3Server;
    let client: StoreClient;
    let other: StoreClient;
    beforeAll(async () => {
      server = await start();
      client = createS3Client(s3StorageConfig(server));
      other = createS3Client(s3StorageConfig(server));
    });
    afterAll(async () => {
      client.destroy();
      other.destroy();
      await server.stop();
    });
    const newConfig = (): S3StorageConfig =>
      s3StorageConfig(server, { prefix: `stores/${randomUUID()}` });
    /** Multipart uploads that nobody ended and records of such. */
    const leftovers = async (config: S3StorageConfig): Promise<string[]> => [
      ...(await listOpenMultiparts(client, config.bucket, config.prefix)),
      ...(await listKeys(client, config.bucket, `${config.prefix}/${multipartFolder}/`)),
    ];
    const cleanUp = (): Promise<void> => Promise.resolve();

    describeRecordStore('S3RecordStore', () => {
      const config = newConfig();
      return Promise.resolve({
        store: new S3RecordStore(client, config),
        replica: new S3RecordStore(other, config),
        isFlat,
        isCaseSensitive: true,
        cleanUp,
      });
    });

    describeBlobStore(
      'S3BlobStore',
      () => {
        const config = newConfig();
        return Promise.resolve({
          store: new S3BlobStore(client, config),
          replica: new S3BlobStore(other, config),
          records: new S3RecordStore(client, config),
          leftovers: () => leftovers(config),
          cleanUp,
        });
      },
      SIZES,
    );

    describeUploadStore(
      'S3UploadStore',
      () => {
        const config = newConfig();
        return Promise.resolve({
          store: new S3UploadStore(client, config),
          replica: new S3UploadStore(other, config),
          blobs: new S3BlobStore(client, config),
          records: new S3RecordStore(client, config),
          leftovers: () => leftovers(config),
          cleanUp,
        });
      },
      SIZES,
    );

    describe('a verified file', () => {
      test.each([
        ['eight parts comes by one request', 8 * SMALLEST_PART_BYTES, 0],
        ['more comes in parts', 8 * SMALLEST_PART_BYTES + 1, 9],
      ])('of %s', async (_how, size, parts) => {
        const config = newConfig();
        const bytes = patternBytes(size, size);
        const digest = digestOf(bytes);
        const path = join(makeTempFolder('verified'), 'file');
        await writeFile(path, bytes);
        const store = new S3BlobStore(client, config);
        expect(await store.put(digest, { path, size }, undefined, unending)).toEqual({ size });
        const key = { Bucket: config.bucket, Key: `${config.prefix}/${blobKey(digest)}` };
        const { ETag = '', ContentLength } = await client.send(new HeadObjectCommand(key));
        expect(ContentLength).toBe(size);
        expect(Number(/-(\d+)"$/.exec(ETag)?.[1] ?? 0)).toBe(parts);
        const opened = await new S3BlobStore(other, config).open(digest, undefined, unending);
        expect((await readAll(opened!.stream)).equals(bytes)).toBe(true);
        expect(await leftovers(config)).toEqual([]);
      });

      test.each([100_000, SMALLEST_PART_BYTES + 1])(
        'of %i bytes that are others than its digest says is not stored',
        async (size) => {
          const config = newConfig();
          const path = join(makeTempFolder('verified'), 'file');
          await writeFile(path, patternBytes(size, 1));
          const digest = digestOf(patternBytes(size, 2));
          const store = new S3BlobStore(client, config);
          const putting = store.put(digest, { path, size }, undefined, unending);
          await expect(putting).rejects.toThrow(StorageError);
          expect(await store.stat(digest, unending)).toBeUndefined();
          expect(await leftovers(config)).toEqual([]);
        },
      );
    });

    describe('prepareS3', () => {
      test('is content with a bucket that is there, with and without a prefix', async () => {
        await prepareS3(client, newConfig(), unending);
        await prepareS3(client, s3StorageConfig(server), unending);
      });

      test('names bucket and endpoint when the bucket is missing, and does not create it', async () => {
        const config = s3StorageConfig(server, { bucket: `missing-${randomUUID()}` });
        for (let round = 0; round < 2; round += 1) {
          const error: unknown = await prepareS3(client, config, unending).catch((e: unknown) => e);
          expect(error).toBeInstanceOf(StorageError);
          expect(String(error)).toContain(config.bucket);
          expect(String(error)).toContain(server.endpoint);
          expect(String(error)).toContain('does not exist');
        }
      });

      test('tells wrong credentials from a missing bucket', async () => {
        const config = s3StorageConfig(server, {
          credentials: { accessKeyId: server.accessKeyId, secretAccessKey: 'wrong' },
        });
        const stranger = createS3Client(config);
        const error: unknown = await prepareS3(stranger, config, unending).catch((e: unknown) => e);
        stranger.destroy();
        expect(error).toBeInstanceOf(StorageError);
        expect(String(error)).toContain('cannot be used');
        expect(String(error)).not.toContain(server.secretAccessKey);
      });
    });
  });
});
