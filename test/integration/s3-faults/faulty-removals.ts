import { describe, expect, test } from '@jest/globals';

import { StorageError } from '../../../shared/storage/errors.ts';
import { blobKey } from '../../../shared/storage/object-keys.ts';
import { streamOf, unending } from '../../../shared/storage/testing/contract-support.ts';
import { listOpenMultiparts } from '../../support/list-bucket.ts';
import { SMALLEST_PART_BYTES as PART } from '../../support/s3-storage-config.ts';
import { broken, loseAnswer, repo, type S3FaultLab } from './s3-fault-lab.ts';

/** What is removed, and what crashes left, when the bucket fails. */
export function testFaultyRemovals(lab: S3FaultLab): void {
  describe('deleting a tree', () => {
    const fill = async (): Promise<void> => {
      for (const name of ['a', 'b', 'c/d']) {
        await lab.records.put(`twinport/v1/tree/${name}`, Buffer.from(name), unending);
      }
    };
    const left = () => lab.records.list('twinport/v1/tree', {}, unending);

    test('does it one by one where the store has no batches', async () => {
      await fill();
      const fault = { kind: 'refuse', status: 501, code: 'NotImplemented' } as const;
      lab.proxy.inject({ operation: 'DeleteObjects', fault });
      await lab.records.deleteTree('twinport/v1/tree', unending);
      expect(await left()).toEqual([]);
    });

    test('tries those again that a batch reports as failed, and fails when that fails', async () => {
      await fill();
      const key = `${lab.config.prefix}/twinport/v1/tree/b`;
      const body = `<DeleteResult><Error><Key>${key}</Key><Code>InternalError</Code></Error></DeleteResult>`;
      lab.proxy.inject({
        operation: 'DeleteObjects',
        fault: { kind: 'answer', status: 200, body },
      });
      lab.proxy.inject({ operation: 'DeleteObject', fault: broken });
      await expect(lab.records.deleteTree('twinport/v1/tree', unending)).rejects.toThrow(
        StorageError,
      );
      lab.proxy.clear();
      await lab.records.deleteTree('twinport/v1/tree', unending);
      expect(await left()).toEqual([]);
    });
  });

  test('removes what a crash left of a large blob, from its record', async () => {
    const { bytes, digest } = lab.fresh(2 * PART + 1);
    lab.proxy.inject({ operation: 'UploadPart', fault: broken });
    lab.proxy.inject({ operation: 'AbortMultipartUpload', fault: broken });
    await expect(lab.put(bytes, digest)).rejects.toThrow(StorageError);
    expect(await lab.leftovers()).toHaveLength(2);
    lab.proxy.clear();
    expect(await lab.uploads.reap(repo, new Date(0), unending)).toBe(0);
    expect(await lab.leftovers()).toHaveLength(2);
    await lab.reapAll();
  });

  test('removes a multipart upload that a crash left before its id was recorded', async () => {
    const { bytes, digest } = lab.fresh(2 * PART + 1);
    lab.proxy.inject({ operation: 'CreateMultipartUpload', fault: loseAnswer });
    await expect(lab.put(bytes, digest)).rejects.toThrow(StorageError);
    const session = await lab.uploads.create(repo, undefined, unending);
    await expect(lab.uploads.append(session, 0, streamOf(bytes), unending)).rejects.toThrow(
      StorageError,
    );
    lab.proxy.clear();
    const keys = await listOpenMultiparts(lab.client, lab.config.bucket, lab.config.prefix);
    expect(new Set(keys).size).toBe(2);
    await lab.uploads.cancel(session, unending);
    expect(
      new Set(await listOpenMultiparts(lab.client, lab.config.bucket, lab.config.prefix)),
    ).toEqual(new Set([`${lab.config.prefix}/${blobKey(digest)}`]));
    await lab.reapAll();
  });
}
