import { expect, test } from '@jest/globals';

import { digestOf } from '../../../shared/oci/digest.ts';
import { sizeOf } from '../../support/sizes.ts';
import type { UploadBench } from '../../support/upload-bench.ts';
import { BENCH_PART_BYTES } from '../../support/upload-bench.ts';
import {
  ask,
  commit,
  openUpload,
  patch,
  pulledBlob,
  uploadedBytes,
} from '../../support/upload-client.ts';
import { chunksOf, expectEverywhere, freshBlob } from './blobs.ts';

const MIB = 1024 * 1024;

/** What a session makes of its chunks: their edges, their order, their price, and the digest of all. */
export function testChunks(bench: UploadBench): void {
  test('store blobs around the size of a part, in one chunk and with the last byte alone', async () => {
    const sizes = [5 * MIB, BENCH_PART_BYTES].flatMap((edge) => [edge - 1, edge, edge + 1]);
    const inOne = [0, 1, ...sizes].map(async (size) => {
      const repo = bench.newRepository('edges');
      const { bytes, digest } = freshBlob(size);
      const path = await openUpload(bench.next(), repo);
      expect((await patch(bench.next(), path, bytes)).status).toBe(202);
      expect((await commit(bench.next(), path, digest)).status).toBe(201);
      expect(await pulledBlob(bench.next(), repo, digest)).toEqual({ digest, size });
    });
    const lastAlone = sizes.map(async (size) => {
      const repo = bench.newRepository('last');
      const { bytes, digest } = freshBlob(size);
      const path = await openUpload(bench.next(), repo);
      expect((await patch(bench.next(), path, bytes.subarray(0, -1), 0)).status).toBe(202);
      const last = bytes.subarray(-1);
      expect((await patch(bench.next(), path, last, size - 1)).status).toBe(202);
      expect((await commit(bench.next(), path, digest)).status).toBe(201);
      expect(await pulledBlob(bench.next(), repo, digest)).toEqual({ digest, size });
    });
    await Promise.all([...inOne, ...lastAlone]);
  });

  test('take chunks of one byte, each at the same price', async () => {
    const count = sizeOf('tinyPatches');
    const repo = bench.newRepository('tiny');
    const { bytes, digest } = freshBlob(count);
    const path = await openUpload(bench.next(), repo);
    const prices: number[] = [];
    bench.forgetCalls();
    for (let offset = 0; offset < count; offset += 1) {
      const chunk = bytes.subarray(offset, offset + 1);
      const { status } = await patch(bench.next(), path, chunk, offset);
      if (status !== 202) throw new Error(`byte ${offset} was answered ${status}`);
      if (offset + 1 === count / 2 || offset + 1 === count) {
        // What replicas ask beside it, they ask by the clock.
        prices.push(bench.s3Calls.filter(({ key }) => key.includes(repo)).length);
        bench.forgetCalls();
      }
    }
    expect((await commit(bench.next(), path, digest)).status).toBe(201);
    await expectEverywhere(bench, repo, digest, count);
    const [firstHalf = 0, secondHalf = 0] = prices;
    expect(firstHalf).toBeLessThanOrEqual(5 * (count / 2));
    expect(secondHalf).toBeLessThanOrEqual(firstHalf + count / 20);
  });

  test('answer a replay, a gap, an overlap and a chunk out of order with 416 and the true Range', async () => {
    const repo = bench.newRepository('order');
    const { bytes, digest } = freshBlob(9_000);
    const path = await openUpload(bench.next(), repo);
    const chunk = (from: number, to: number): Buffer => bytes.subarray(from, to);
    expect((await patch(bench.next(), path, chunk(0, 3_000), 0)).status).toBe(202);
    for (const [from, to] of [
      [0, 3_000],
      [6_000, 9_000],
      [2_999, 6_000],
      [3_001, 6_000],
      [1, 2],
    ] as const) {
      const refused = await patch(bench.next(), path, chunk(from, to), from);
      expect(refused).toMatchObject({ status: 416, range: '0-2999', location: path });
      expect(refused.body).toContain('BLOB_UPLOAD_INVALID');
      expect(await uploadedBytes(bench.next(), path)).toBe(3_000);
    }
    expect((await patch(bench.next(), path, chunk(3_000, 6_000), 3_000)).status).toBe(202);
    const late = { 'content-range': '0-2999' };
    const refused = await ask(bench.next(), {
      method: 'PUT',
      path: `${path}?digest=${digest}`,
      headers: late,
      body: chunk(0, 3_000),
    });
    expect(refused).toMatchObject({ status: 416, range: '0-5999' });
    expect((await commit(bench.next(), path, digest, chunk(6_000, 9_000))).status).toBe(201);
    await expectEverywhere(bench, repo, digest, bytes.length);
  });

  test('refuse a wrong digest at the end, and take a sha512 that nobody announced', async () => {
    for (const size of [2_000, BENCH_PART_BYTES + 1]) {
      const repo = bench.newRepository('digests');
      const { bytes, digest } = freshBlob(size);
      const wrong = await openUpload(bench.next(), repo);
      expect((await patch(bench.next(), wrong, bytes)).status).toBe(202);
      const other = freshBlob(1).digest;
      const refused = await commit(bench.next(), wrong, other);
      expect(refused).toMatchObject({ status: 400 });
      expect(refused.body).toContain('DIGEST_INVALID');
      expect(await uploadedBytes(bench.next(), wrong)).toBeUndefined();
      for (const absent of [digest, other]) {
        expect(await pulledBlob(bench.next(), repo, absent)).toBeUndefined();
      }
      const path = await openUpload(bench.next(), repo);
      expect((await patch(bench.next(), path, bytes)).status).toBe(202);
      const sha512 = digestOf(bytes, 'sha512');
      expect((await commit(bench.next(), path, sha512)).status).toBe(201);
      await expectEverywhere(bench, repo, sha512, size);
    }
  });

  test('read the staged bytes again only when chunks came to several replicas', async () => {
    if (bench.isOverFiles) return;
    const size = 3 * BENCH_PART_BYTES;
    const readsOf = async (chunks: number): Promise<string[]> => {
      const repo = bench.newRepository('reads');
      const { bytes, digest } = freshBlob(size);
      const path = await openUpload(bench.next(), repo);
      for (const { chunk } of chunksOf(bytes, chunks)) {
        expect((await patch(bench.next(), path, chunk)).status).toBe(202);
      }
      bench.forgetCalls();
      expect((await commit(bench.next(), path, digest)).status).toBe(201);
      const isStaged = /_uploads\/[^/]+\/data-/;
      return bench.s3Calls
        .filter(({ operation, key }) => operation === 'GetObject' && isStaged.test(key))
        .map(({ key }) => key);
    };
    expect(await readsOf(1)).toEqual([]);
    // What remained of the first chunk was sent as a last part, so the second one began another object.
    const reads = await readsOf(2);
    expect(reads).toHaveLength(2);
    expect(new Set(reads).size).toBe(2);
  });

  test('send each byte to the bucket once but for the last part, and ask it twice for a part at most', async () => {
    if (bench.isOverFiles) return;
    const costOf = async (parts: number): Promise<{ calls: number; bytesAgain: number }> => {
      const size = parts * BENCH_PART_BYTES;
      const repo = bench.newRepository('linear');
      const { bytes, digest } = freshBlob(size);
      const path = await openUpload(bench.next(), repo);
      bench.forgetCalls();
      expect((await patch(bench.next(), path, bytes)).status).toBe(202);
      expect((await commit(bench.next(), path, digest)).status).toBe(201);
      const hex = digest.slice('sha256:'.length);
      const own = bench.s3Calls.filter(({ key }) => key.includes(repo) || key.includes(hex));
      const sent = own.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
      return { calls: own.length, bytesAgain: sent - size };
    };
    const small = await costOf(2);
    const large = await costOf(8);
    expect(large.calls - small.calls).toBeLessThanOrEqual(2 * 6);
    // What may still grow is kept aside when a chunk ends, up to a part.
    for (const { bytesAgain } of [small, large]) {
      expect(bytesAgain).toBeLessThan(BENCH_PART_BYTES + 50_000);
    }
  });
}
