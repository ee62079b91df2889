import { randomUUID } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { StorageError } from '../../../shared/storage/errors.ts';
import { S3BlobStore } from '../../../shared/storage/s3/s3-blob-store.ts';
import { createS3Client } from '../../../shared/storage/s3/s3-client.ts';
import { S3RecordStore } from '../../../shared/storage/s3/s3-record-store.ts';
import { S3UploadStore } from '../../../shared/storage/s3/s3-upload-store.ts';
import { patternBytes, unending } from '../../../shared/storage/testing/contract-support.ts';
import type { S3Operation } from '../../support/s3-fault-proxy.ts';
import { s3StorageConfig, SMALLEST_PART_BYTES as PART } from '../../support/s3-storage-config.ts';
import { waitFor } from '../../support/wait-for.ts';
import { hurried, repo, type S3FaultLab, slowDown } from './s3-fault-lab.ts';

/** What readers get of a bucket that breaks off, is silent, or refuses. */
export function testFaultyReads(lab: S3FaultLab): void {
  describe('when a body breaks', () => {
    test.each(['cut', 'stall'] as const)('reads a record again (%s)', async (kind) => {
      lab.records = new S3RecordStore(lab.faulty, lab.config, hurried({ idleMs: 200 }));
      const bytes = patternBytes(50_000, 7);
      await lab.records.put('twinport/v1/record', bytes, unending);
      lab.proxy.inject({ operation: 'GetObject', times: 2, fault: { kind, afterBytes: 20_000 } });
      expect((await lab.records.get('twinport/v1/record', unending))?.equals(bytes)).toBe(true);
    });

    test.each(['cut', 'stall'] as const)(
      'gives no record but a fault in the end (%s)',
      async (kind) => {
        lab.records = new S3RecordStore(lab.faulty, lab.config, hurried({ idleMs: 200 }));
        await lab.records.put('twinport/v1/record', patternBytes(50_000, 7), unending);
        lab.proxy.inject({ operation: 'GetObject', times: 1, fault: { kind, afterBytes: 20_000 } });
        lab.proxy.inject({ operation: 'GetObject', fault: { kind, afterBytes: 0 } });
        await expect(lab.records.get('twinport/v1/record', unending)).rejects.toThrow(StorageError);
      },
    );

    test.each(['cut', 'stall'] as const)(
      'breaks the stream of a blob, never ends it (%s)',
      async (kind) => {
        lab.blobs = new S3BlobStore(lab.faulty, lab.config, hurried({ idleMs: 200 }));
        const { bytes, digest } = lab.fresh(500_000);
        await lab.blobs.put(digest, bytes, undefined, unending);
        for (const range of [undefined, { kind: 'from', first: 100 } as const]) {
          lab.proxy.clear();
          const first = { kind, afterBytes: 300_000 };
          lab.proxy.inject({ operation: 'GetObject', times: 1, fault: first });
          lab.proxy.inject({ operation: 'GetObject', fault: { kind, afterBytes: 0 } });
          const opened = await lab.blobs.open(digest, range, unending);
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
      // Longer than a busy machine is silent for by itself.
      const idleMs = 500;
      lab.blobs = new S3BlobStore(lab.faulty, lab.config, hurried({ idleMs }));
      const { bytes, digest } = lab.fresh(3 * PART);
      await lab.blobs.put(digest, bytes, undefined, unending);
      const opened = await lab.blobs.open(digest, undefined, unending);
      const parts: Buffer[] = [];
      for await (const chunk of opened!.stream) {
        parts.push(chunk as Buffer);
        // Longer than the store may be silent for.
        if (parts.length === 3) await new Promise((resolve) => setTimeout(resolve, 2.5 * idleMs));
      }
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    });
  });

  describe('when nothing is answered', () => {
    const deadlines = hurried({ firstByteMs: 300, operationMs: 600, heavyOperationMs: 600 });

    test('ends every operation by its deadline and gives its connections up', async () => {
      const impatient = createS3Client(
        s3StorageConfig({ ...lab.server, endpoint: lab.proxy.endpoint }),
        deadlines,
      );
      const { bytes, digest } = lab.fresh(100);
      const store = new S3BlobStore(impatient, lab.config, deadlines);
      const hung = new S3RecordStore(impatient, lab.config, deadlines);
      const operations: S3Operation[] = [
        'GetObject',
        'PutObject',
        'HeadObject',
        'DeleteObject',
        'ListObjects',
      ];
      for (const operation of operations) lab.proxy.inject({ operation, fault: { kind: 'hang' } });
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
      const before = lab.proxy.openConnections;
      impatient.destroy();
      await waitFor(() => before === 0 || lab.proxy.openConnections < before, {
        what: 'the connections to be closed',
      });
    });

    test('ends at once when the signal aborts', async () => {
      lab.proxy.inject({ operation: 'GetObject', fault: { kind: 'hang' } });
      const controller = new AbortController();
      const reading = lab.records.get('twinport/v1/x', controller.signal);
      await waitFor(() => lab.proxy.seen.length > 0, { what: 'the request' });
      controller.abort(new Error('the client is gone'));
      await expect(reading).rejects.toThrow('the client is gone');
    });
  });

  test('hides a store that refuses a third of all requests from nearly everybody', async () => {
    for (const operation of ['PutObject', 'GetObject', 'DeleteObject'] as const) {
      lab.proxy.inject({ operation, every: 3, fault: slowDown });
    }
    // The other tests have used up the retry budget of their lab.client.
    const rested = createS3Client(s3StorageConfig({ ...lab.server, endpoint: lab.proxy.endpoint }));
    lab.records = new S3RecordStore(rested, lab.config);
    const keys = Array.from({ length: 80 }, (_, i) => `twinport/v1/records/${i}`);
    const results = await Promise.allSettled(
      keys.map(async (key) => {
        await lab.records.put(key, Buffer.from(key), unending);
        expect((await lab.records.get(key, unending))?.toString()).toBe(key);
        await lab.records.delete(key, unending);
        expect(await lab.records.get(key, unending)).toBeUndefined();
      }),
    );
    rested.destroy();
    const faults = results.filter((result) => result.status === 'rejected');
    for (const { reason } of faults) expect(reason).toBeInstanceOf(StorageError);
    // Four tries each: about one request in a hundred is out of luck, of four a key needs.
    expect(faults.length).toBeLessThan(keys.length / 5);
  });

  test('takes a missing bucket for a fault, never for an empty store', async () => {
    const missing = { ...lab.config, bucket: `missing-${randomUUID()}` };
    const store = new S3BlobStore(lab.client, missing);
    const none = new S3RecordStore(lab.client, missing);
    const sessions = new S3UploadStore(lab.client, missing);
    const { digest } = lab.fresh(1);
    await expect(none.get('twinport/v1/x', unending)).rejects.toThrow(StorageError);
    await expect(none.list('twinport/v1', {}, unending)).rejects.toThrow(StorageError);
    await expect(none.delete('twinport/v1/x', unending)).rejects.toThrow(StorageError);
    await expect(store.stat(digest, unending)).rejects.toThrow(StorageError);
    await expect(store.open(digest, undefined, unending)).rejects.toThrow(StorageError);
    await expect(sessions.create(repo, undefined, unending)).rejects.toThrow(StorageError);
    await expect(sessions.reap(repo, new Date(), unending)).rejects.toThrow(StorageError);
  });
}
