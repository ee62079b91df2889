import { setTimeout as delay } from 'node:timers/promises';

import { expect, test } from '@jest/globals';

import { sizeOf } from '../../support/sizes.ts';
import type { UploadBench } from '../../support/upload-bench.ts';
import { BENCH_PART_BYTES } from '../../support/upload-bench.ts';
import {
  commit,
  openUpload,
  patch,
  pulledBlob,
  SlowRequest,
  uploadedBytes,
} from '../../support/upload-client.ts';
import { waitFor } from '../../support/wait-for.ts';
import { freshBlob } from './blobs.ts';

/** Clients that are slow, that vanish, and that never come back. */
export function testBrokenOffUploads(bench: UploadBench): void {
  test('keep what a client sent that vanished, wherever it did, and let it go on', async () => {
    const size = BENCH_PART_BYTES + 50_000;
    const rounds = [0, 1, 40_000, BENCH_PART_BYTES + 3, size].map(async (k) => {
      const next = bench.turns();
      const repo = bench.newRepository('vanished');
      const { bytes, digest } = freshBlob(size);
      const path = await openUpload(next(), repo);
      const slow = new SlowRequest(next(), { method: 'PATCH', path }, size + 1);
      await slow.write(bytes.subarray(0, k));
      await slow.vanish();
      const url = next();
      let isNothing = true;
      const offset = await waitFor(
        async () => {
          const told = (await uploadedBytes(url, path)) ?? 0;
          // `Range: 0-0` stands for one byte as well: who is refused at the beginning has sent that.
          const kept = told === 0 && !isNothing ? 1 : told;
          const answer = await patch(next(), path, bytes.subarray(kept), kept);
          if (answer.status === 202) return { kept };
          expect(answer.status).toBe(416);
          isNothing = kept !== 0;
          return undefined;
        },
        { what: `the session to go on after byte ${k}`, timeoutMs: 60_000 },
      );
      expect(offset.kept).toBeLessThanOrEqual(k);
      const answered = await commit(next(), path, digest);
      expect({ k, status: answered.status, offset }).toMatchObject({ k, status: 201 });
      expect(await pulledBlob(next(), repo, digest)).toEqual({ digest, size });
    });
    await Promise.all(rounds);
  });

  test('end no request that goes on, however long it takes, and one that stops', async () => {
    const seconds = sizeOf('slowUploadSeconds');
    const replica = await bench.startReplica({ env: { HTTP_IDLE_TIMEOUT_SECONDS: '2' } });
    const repo = bench.newRepository('slow');
    const steps = seconds * 4;
    const { bytes, digest } = freshBlob(steps * 100);
    const path = await openUpload(replica.url, repo);
    const slow = new SlowRequest(replica.url, { method: 'PATCH', path }, bytes.length);
    for (let step = 0; step < steps; step += 1) {
      await slow.write(bytes.subarray(step * 100, (step + 1) * 100));
      await delay(250);
    }
    expect((await slow.end()).status).toBe(202);
    expect((await commit(replica.url, path, digest)).status).toBe(201);
    const silent = await openUpload(replica.url, repo);
    const stuck = new SlowRequest(replica.url, { method: 'PATCH', path: silent }, 100);
    await stuck.write(bytes.subarray(0, 50));
    await expect(stuck.answer).rejects.toThrow();
    await waitFor(async () => (await uploadedBytes(bench.next(), silent)) === 50, {
      what: 'the bytes that came to be kept',
    });
    await replica.stop();
  });

  test('remove what was abandoned when its time is over, multipart uploads included', async () => {
    const repo = bench.newRepository('abandoned');
    const { bytes } = freshBlob(2 * BENCH_PART_BYTES + 1);
    const paths = [];
    for (const size of [0, 10, 50_000, bytes.length]) {
      const path = await openUpload(bench.next(), repo);
      if (size > 0) {
        expect((await patch(bench.next(), path, bytes.subarray(0, size))).status).toBe(202);
      }
      paths.push(path);
    }
    if (!bench.isOverFiles) expect((await bench.openMultiparts()).length).toBeGreaterThan(0);
    await delay(1_100);
    await bench.startReplica({ env: { UPLOAD_TTL_SECONDS: '1' } });
    await waitFor(async () => (await bench.keys('/_uploads/')).length === 0, {
      what: 'the sessions to be removed',
      timeoutMs: 60_000,
    });
    for (const path of paths) expect(await uploadedBytes(bench.next(), path)).toBeUndefined();
    expect(await bench.openMultiparts()).toEqual([]);
  });
}
