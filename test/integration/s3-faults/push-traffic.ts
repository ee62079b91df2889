import { expect, test } from '@jest/globals';

import { streamOf, unending } from '../../../shared/storage/testing/contract-support.ts';
import type { S3Operation } from '../../support/s3-fault-proxy.ts';
import { SMALLEST_PART_BYTES as PART } from '../../support/s3-storage-config.ts';
import { repo, type S3FaultLab } from './s3-fault-lab.ts';

/** What a push sends to the bucket and asks of it while nothing fails. */
export function testPushTraffic(lab: S3FaultLab): void {
  test('sends each byte of a session a bounded number of times, however small its chunks', async () => {
    const { bytes, digest } = lab.fresh(PART + 100_000);
    let session = await lab.uploads.create(repo, undefined, unending);
    const chunkBytes = 40_000;
    let chunks = 0;
    for (let from = 0; from < bytes.length; from += chunkBytes, chunks += 1) {
      const chunk = streamOf(bytes.subarray(from, from + chunkBytes));
      session = await lab.uploads.append(session, from, chunk, unending);
    }
    await lab.uploads.commit(session, digest, unending);
    const sent = lab.proxy.seen.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
    expect(sent).toBeLessThan(4 * bytes.length);
    expect(lab.proxy.seen.length).toBeLessThan(8 * chunks);
    expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    await lab.reapAll();
  });

  test('asks little of the store for the small blobs of which most pushes consist', async () => {
    const { bytes, digest } = lab.fresh(2_000);
    await lab.upload(bytes, digest);
    const { seen } = lab.proxy;
    const count = (wanted: S3Operation): number =>
      seen.filter(({ operation }) => operation === wanted).length;
    // What it takes to be: that it began, what came, the blob, and that it ended. The rest are small questions.
    expect(count('PutObject')).toBe(4);
    expect(count('DeleteObject')).toBe(2);
    expect(count('HeadObject')).toBeLessThanOrEqual(5);
    expect(count('GetObject') + count('ListObjects')).toBe(0);
    // And, now and then, whether the bucket itself is there.
    expect(seen.filter(({ operation }) => operation !== 'other').length).toBeLessThanOrEqual(11);
    const sent = seen.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
    expect(sent).toBeLessThan(2 * bytes.length + 1000);
  });

  test('sends a large blob of one chunk to the store once', async () => {
    const { bytes, digest } = lab.fresh(2 * PART + 100_000);
    await lab.upload(bytes, digest);
    const { seen } = lab.proxy;
    expect(seen.filter(({ operation }) => operation === 'UploadPart')).toHaveLength(3);
    const sent = seen.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
    expect(sent).toBeLessThan(bytes.length + 10_000);
    expect((await lab.stored(digest))?.equals(bytes)).toBe(true);
    await lab.reapAll();
  });
}
