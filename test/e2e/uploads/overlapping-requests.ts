import { expect, test } from '@jest/globals';

import type { UploadBench } from '../../support/upload-bench.ts';
import { BENCH_PART_BYTES } from '../../support/upload-bench.ts';
import {
  commit,
  openUpload,
  patch,
  SlowRequest,
  uploadedBytes,
} from '../../support/upload-client.ts';
import { waitFor } from '../../support/wait-for.ts';
import { chunksOf, expectEverywhere, freshBlob } from './blobs.ts';

const CLIENTS = 50;

/** Requests that come at the same time, for one session or for one blob. */
export function testOverlappingRequests(bench: UploadBench): void {
  test('let one of two PATCHes win that come at once, and tell the other where the session stands', async () => {
    const rounds = [1000, BENCH_PART_BYTES + 1000].map(async (size) => {
      const next = bench.turns();
      const repo = bench.newRepository('race');
      const contents = [freshBlob(size), freshBlob(size)];
      const path = await openUpload(next(), repo);
      const headers = { 'content-range': `0-${size - 1}` };
      const racers = contents.map(
        () => new SlowRequest(next(), { method: 'PATCH', path, headers }, size),
      );
      // Each has sent most of its body before either has sent all of it.
      await Promise.all(
        racers.map((racer, i) => racer.write(contents[i]!.bytes.subarray(0, size - 1))),
      );
      const answers = await Promise.all(
        racers.map(async (racer, i) => {
          // Who is refused early reads no further.
          await racer.write(contents[i]!.bytes.subarray(size - 1)).catch(() => undefined);
          return await racer.end();
        }),
      );
      const winner = answers.findIndex(({ status }) => status === 202);
      expect(answers.map(({ status }) => status).sort()).toEqual([202, 416]);
      expect(answers[1 - winner]!.range).toMatch(/^0-\d+$/);
      expect(await uploadedBytes(next(), path)).toBe(size);
      const { digest } = contents[winner]!;
      expect((await commit(next(), path, digest)).status).toBe(201);
      await expectEverywhere(bench, repo, digest, size);
    });
    await Promise.all(rounds);
  });

  test('finish one session at two replicas at once without a fault', async () => {
    const rounds = [0, 5_000, 40_000, BENCH_PART_BYTES + 7, 5 * BENCH_PART_BYTES].map(
      async (size) => {
        const next = bench.turns();
        const repo = bench.newRepository('finish');
        const { bytes, digest } = freshBlob(size);
        const path = await openUpload(next(), repo);
        for (const { chunk, offset } of chunksOf(bytes, 2)) {
          if (chunk.length === 0) continue;
          expect((await patch(next(), path, chunk, offset)).status).toBe(202);
        }
        const answers = await Promise.all([1, 2].map(() => commit(next(), path, digest)));
        const refused = answers.filter(({ status }) => status !== 201);
        expect(refused.filter(({ status }) => status !== 404)).toEqual([]);
        expect(refused.length).toBeLessThan(2);
        expect((await commit(next(), path, digest)).status).toBe(201);
        await expectEverywhere(bench, repo, digest, size);
      },
    );
    await Promise.all(rounds);
  });

  test('never let a request change a session that went on without it', async () => {
    const repo = bench.newRepository('stale');
    const size = BENCH_PART_BYTES + 1000;
    const { bytes, digest } = freshBlob(size);
    // What came before it stopped may be kept; what it sends afterwards may not.
    const lateByte = Buffer.from([bytes.at(-1)! ^ 1]);
    const path = await openUpload(bench.next(), repo);
    const late = bench.replica();
    bench.forgetCalls();
    const slow = new SlowRequest(late.url, { method: 'PATCH', path }, size);
    await slow.write(bytes.subarray(0, size - 1));
    await waitFor(
      async () =>
        bench.isOverFiles
          ? ((await uploadedBytes(bench.next(), path)) ?? 0) > 1
          : bench.s3Calls.some(({ operation }) => operation === 'UploadPart'),
      { what: 'the request to work on the session' },
    );
    late.kill('SIGSTOP');
    try {
      await waitFor(
        async () => {
          let url = bench.next();
          while (url === late.url) url = bench.next();
          const kept = await uploadedBytes(url, path);
          const answer = await patch(url, path, bytes.subarray(kept ?? 0), kept ?? 0);
          if (answer.status === 202) return true;
          throw new Error(`after byte ${kept}: ${answer.status}, ${answer.body}`);
        },
        // The lease of the stopped one is free after ten seconds.
        { what: 'another replica to take the session over' },
      );
    } finally {
      late.kill('SIGCONT');
    }
    await slow.write(lateByte).catch(() => undefined);
    const refused = await slow.end().catch(() => undefined);
    expect([404, 416, undefined]).toContain(refused?.status);
    expect(await uploadedBytes(late.url, path)).toBe(size);
    expect((await commit(late.url, path, digest)).status).toBe(201);
    await expectEverywhere(bench, repo, digest, size);
  });

  test('store one object when 50 clients push it to 50 repositories', async () => {
    const { bytes, digest } = freshBlob(300_000);
    const repos = Array.from({ length: CLIENTS }, () => bench.newRepository('crowd'));
    const statuses = await Promise.all(
      repos.map(async (repo) => {
        const path = await openUpload(bench.next(), repo);
        const taken = await patch(bench.next(), path, bytes);
        return [taken.status, (await commit(bench.next(), path, digest)).status];
      }),
    );
    expect(statuses).toEqual(repos.map(() => [202, 201]));
    const hex = digest.slice('sha256:'.length);
    expect(await bench.keys(`/${hex}/data`)).toHaveLength(1);
    expect(await bench.keys(`_layers/sha256/${hex}/link`)).toHaveLength(CLIENTS);
    for (const repo of repos.slice(0, 5)) await expectEverywhere(bench, repo, digest, bytes.length);
  });
}
