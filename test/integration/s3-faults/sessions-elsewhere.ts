import { expect, test } from '@jest/globals';

import { S3UploadStore } from '../../../shared/storage/s3/s3-upload-store.ts';
import { streamOf, unending } from '../../../shared/storage/testing/contract-support.ts';
import { SMALLEST_PART_BYTES as PART } from '../../support/s3-storage-config.ts';
import { repo, type S3FaultLab } from './s3-fault-lab.ts';

/** Upload sessions whose chunks come to several replicas. */
export function testSessionsElsewhere(lab: S3FaultLab): void {
  test('joins a large chunk with those that follow it on other replicas', async () => {
    for (const sizes of [
      [PART + 1000, 10],
      [2 * PART + 7, 100_000, PART + 5, 1],
    ]) {
      const { bytes, digest } = lab.fresh(sizes.reduce((sum, size) => sum + size, 0));
      const { id } = await lab.uploads.create(repo, undefined, unending);
      let from = 0;
      for (const size of sizes) {
        const replica = new S3UploadStore(lab.client, lab.config);
        const session = await replica.find(repo, id, unending);
        expect(session!.offset).toBe(from);
        const chunk = streamOf(bytes.subarray(from, from + size));
        await replica.append(session!, from, chunk, unending);
        from += size;
      }
      const session = await lab.uploads.find(repo, id, unending);
      await lab.uploads.commit(session!, digest, unending);
      expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
      await lab.reapAll();
    }
  });

  test('notices that another replica went on with a session, however far', async () => {
    const { bytes, digest } = lab.fresh(140);
    const replica = new S3UploadStore(lab.client, lab.config);
    for (const own of [0, 1, 2]) {
      const { id } = await lab.uploads.create(repo, undefined, unending);
      const append = async (store: S3UploadStore, from: number): Promise<void> => {
        const session = await store.find(repo, id, unending);
        expect(session!.offset).toBe(from);
        await store.append(session!, from, streamOf(bytes.subarray(from, from + 1)), unending);
      };
      for (let from = 0; from < own; from += 1) await append(lab.uploads, from);
      for (let from = own; from < bytes.length - 1; from += 1) await append(replica, from);
      await append(lab.uploads, bytes.length - 1);
      const session = await replica.find(repo, id, unending);
      await replica.commit(session!, digest, unending);
      expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
      const left = await lab.uploads.create(repo, undefined, unending);
      await replica.cancel(left, unending);
      expect(await lab.uploads.find(repo, left.id, unending)).toBeUndefined();
      await lab.reapAll();
    }
  });
}
