import { expect, test } from '@jest/globals';

import type { UploadBench } from '../../support/upload-bench.ts';
import { BENCH_PART_BYTES } from '../../support/upload-bench.ts';
import {
  ask,
  commit,
  openUpload,
  patch,
  SlowRequest,
  uploadedBytes,
} from '../../support/upload-client.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type Blob, chunksOf, expectEverywhere, freshBlob } from './blobs.ts';

/** Each form of an upload, every request of it at the next replica; `between` is called once on the way. */
type Form = (
  repo: string,
  content: Blob,
  next: () => string,
  between: () => Promise<void>,
) => Promise<number>;

const FORMS: readonly [string, Form][] = [
  [
    'POST and one PUT',
    async (repo, { bytes, digest }, next, between) => {
      const path = await openUpload(next(), repo);
      await between();
      return (await commit(next(), path, digest, bytes)).status;
    },
  ],
  [
    'one POST with the digest',
    async (repo, { bytes, digest }, next, between) => {
      await between();
      const path = `/v2/${repo}/blobs/uploads/?digest=${digest}`;
      return (await ask(next(), { method: 'POST', path, body: bytes })).status;
    },
  ],
  [
    'POST, PATCH and PUT',
    async (repo, { bytes, digest }, next, between) => {
      const path = await openUpload(next(), repo);
      expect((await patch(next(), path, bytes)).status).toBe(202);
      await between();
      return (await commit(next(), path, digest)).status;
    },
  ],
  [
    'a streamed PATCH of unknown length and a PUT with the rest',
    async (repo, { bytes, digest }, next, between) => {
      const path = await openUpload(next(), repo);
      const most = bytes.subarray(0, bytes.length - 1000);
      const sent = { method: 'PATCH', path, body: most, isStreamed: true } as const;
      expect((await ask(next(), sent)).status).toBe(202);
      await between();
      return (await commit(next(), path, digest, bytes.subarray(most.length))).status;
    },
  ],
  [
    'chunks with Content-Range',
    async (repo, { bytes, digest }, next, between) => {
      let path = await openUpload(next(), repo);
      for (const [i, { chunk, offset }] of chunksOf(bytes, 7).entries()) {
        if (i === 4) await between();
        const answer = await patch(next(), path, chunk, offset);
        expect(answer).toMatchObject({
          status: 202,
          range: `0-${offset + chunk.length - 1}`,
        });
        path = answer.location;
      }
      return (await commit(next(), path, digest)).status;
    },
  ],
  [
    'a mount',
    async (repo, { bytes, digest }, next, between) => {
      const from = `${repo}/source`;
      const path = await openUpload(next(), from);
      expect((await commit(next(), path, digest, bytes)).status).toBe(201);
      await between();
      const mount = `/v2/${repo}/blobs/uploads/?mount=${digest}&from=${from}`;
      return (await ask(next(), { method: 'POST', path: mount })).status;
    },
  ],
];

/** Every form of an upload, spread over replicas that die on the way. */
export function testUploadForms(bench: UploadBench): void {
  test('take every form of upload request by request in turn, all that served it being killed in between', async () => {
    await bench.holdOneBack();
    const killed = Promise.withResolvers<undefined>();
    let waiting = 0;
    const between = async (): Promise<void> => {
      waiting += 1;
      if (waiting === FORMS.length) {
        await bench.killAllUsed();
        killed.resolve(undefined);
      }
      await killed.promise;
    };
    const pushed = await Promise.all(
      FORMS.map(async ([form, push], i) => {
        const repo = bench.newRepository('forms');
        const content = freshBlob(i % 2 === 0 ? 100_000 : 2 * BENCH_PART_BYTES + 12_345);
        const status = await push(repo, content, bench.turns(), between).catch((error: unknown) => {
          killed.reject(error);
          throw error;
        });
        expect({ form, status }).toEqual({ form, status: 201 });
        return { repo, digest: content.digest, size: content.bytes.length };
      }),
    );
    await bench.whole();
    for (const { repo, digest, size } of pushed) await expectEverywhere(bench, repo, digest, size);
  });

  test('go on with an upload whose PATCH was under way at a replica that was killed', async () => {
    const repo = bench.newRepository('crashed');
    const { bytes, digest } = freshBlob(3 * BENCH_PART_BYTES);
    const path = await openUpload(bench.next(), repo);
    const first = bytes.subarray(0, BENCH_PART_BYTES + 5);
    expect((await patch(bench.next(), path, first, 0)).status).toBe(202);
    const replica = bench.replica();
    const slow = new SlowRequest(replica.url, { method: 'PATCH', path }, undefined);
    await slow.write(bytes.subarray(first.length, 2 * BENCH_PART_BYTES + 100));
    await bench.killOne();
    await expect(slow.answer).rejects.toThrow();
    const kept = await waitFor(
      async () => {
        const offset = (await uploadedBytes(bench.next(), path)) ?? 0;
        const answer = await patch(bench.next(), path, bytes.subarray(offset), offset);
        return answer.status === 202 && offset;
      },
      // The lease of the dead is free after ten seconds.
      { what: 'the session to go on', timeoutMs: 30_000 },
    );
    expect(kept).toBeGreaterThanOrEqual(first.length);
    expect((await commit(bench.next(), path, digest)).status).toBe(201);
    await expectEverywhere(bench, repo, digest, bytes.length);
  });
}
