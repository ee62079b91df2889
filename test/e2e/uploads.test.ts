import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { sizeOf } from '../support/sizes.ts';
import { BENCH_PART_BYTES, UploadBench } from '../support/upload-bench.ts';
import {
  ask,
  commit,
  openUpload,
  patch,
  pulledBlob,
  SlowRequest,
  uploadedBytes,
} from '../support/upload-client.ts';
import { waitFor } from '../support/wait-for.ts';

const STORES = [
  { store: 'minio and redis', tools: ['redis-server', 'minio'] },
  { store: 'minio alone', tools: ['minio'] },
  { store: 'files', tools: [] },
] as const;
const MIB = 1024 * 1024;
const CLIENTS = 50;

describe.each(STORES)('over $store', ({ store, tools }) => {
  describeWithTools(tools, `three push replicas over ${store}`, () => {
    const bench = new UploadBench(store);
    beforeAll(() => bench.start(3), 120_000);
    afterAll(() => bench.stop());

    const fresh = (length: number): { bytes: Buffer; digest: string } => {
      const bytes = randomBytes(length);
      return { bytes, digest: digestOf(bytes) };
    };
    const expectEverywhere = async (repo: string, digest: string, size: number): Promise<void> => {
      for (let turn = 0; turn < 3; turn += 1) {
        expect(await pulledBlob(bench.next(), repo, digest)).toEqual({ digest, size });
      }
    };
    const cut = (bytes: Buffer, count: number): { chunk: Buffer; offset: number }[] =>
      Array.from({ length: count }, (_, i) => {
        const offset = Math.floor((bytes.length * i) / count);
        const end = Math.floor((bytes.length * (i + 1)) / count);
        return { chunk: bytes.subarray(offset, end), offset };
      });

    /** Each form of an upload, every request of it at the next replica; `between` is called once on the way. */
    type Form = (
      repo: string,
      content: { bytes: Buffer; digest: string },
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
          for (const [i, { chunk, offset }] of cut(bytes, 7).entries()) {
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
          const content = fresh(i % 2 === 0 ? 100_000 : 2 * BENCH_PART_BYTES + 12_345);
          const status = await push(repo, content, bench.turns(), between).catch(
            (error: unknown) => {
              killed.reject(error);
              throw error;
            },
          );
          expect({ form, status }).toEqual({ form, status: 201 });
          return { repo, digest: content.digest, size: content.bytes.length };
        }),
      );
      await bench.whole();
      for (const { repo, digest, size } of pushed) await expectEverywhere(repo, digest, size);
    });

    test('go on with an upload whose PATCH was under way at a replica that was killed', async () => {
      const repo = bench.newRepository('crashed');
      const { bytes, digest } = fresh(3 * BENCH_PART_BYTES);
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
      await expectEverywhere(repo, digest, bytes.length);
    });

    test('store blobs around the size of a part, in one chunk and with the last byte alone', async () => {
      const sizes = [5 * MIB, BENCH_PART_BYTES].flatMap((edge) => [edge - 1, edge, edge + 1]);
      const inOne = [0, 1, ...sizes].map(async (size) => {
        const repo = bench.newRepository('edges');
        const { bytes, digest } = fresh(size);
        const path = await openUpload(bench.next(), repo);
        expect((await patch(bench.next(), path, bytes)).status).toBe(202);
        expect((await commit(bench.next(), path, digest)).status).toBe(201);
        expect(await pulledBlob(bench.next(), repo, digest)).toEqual({ digest, size });
      });
      const lastAlone = sizes.map(async (size) => {
        const repo = bench.newRepository('last');
        const { bytes, digest } = fresh(size);
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
      const { bytes, digest } = fresh(count);
      const path = await openUpload(bench.next(), repo);
      const prices: number[] = [];
      bench.forgetCalls();
      for (let offset = 0; offset < count; offset += 1) {
        const chunk = bytes.subarray(offset, offset + 1);
        const { status } = await patch(bench.next(), path, chunk, offset);
        if (status !== 202) throw new Error(`byte ${offset} was answered ${status}`);
        if (offset + 1 === count / 2 || offset + 1 === count) {
          prices.push(bench.s3Calls.length);
          bench.forgetCalls();
        }
      }
      expect((await commit(bench.next(), path, digest)).status).toBe(201);
      await expectEverywhere(repo, digest, count);
      const [firstHalf = 0, secondHalf = 0] = prices;
      expect(firstHalf).toBeLessThanOrEqual(5 * (count / 2));
      expect(secondHalf).toBeLessThanOrEqual(firstHalf + count / 20);
    });

    test('let one of two PATCHes win that come at once, and tell the other where the session stands', async () => {
      const rounds = [1000, BENCH_PART_BYTES + 1000].map(async (size) => {
        const next = bench.turns();
        const repo = bench.newRepository('race');
        const contents = [fresh(size), fresh(size)];
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
        await expectEverywhere(repo, digest, size);
      });
      await Promise.all(rounds);
    });

    test('answer a replay, a gap, an overlap and a chunk out of order with 416 and the true Range', async () => {
      const repo = bench.newRepository('order');
      const { bytes, digest } = fresh(9_000);
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
      await expectEverywhere(repo, digest, bytes.length);
    });

    test('finish one session at two replicas at once without a fault', async () => {
      const rounds = [0, 5_000, 40_000, BENCH_PART_BYTES + 7, 5 * BENCH_PART_BYTES].map(
        async (size) => {
          const next = bench.turns();
          const repo = bench.newRepository('finish');
          const { bytes, digest } = fresh(size);
          const path = await openUpload(next(), repo);
          for (const { chunk, offset } of cut(bytes, 2)) {
            if (chunk.length === 0) continue;
            expect((await patch(next(), path, chunk, offset)).status).toBe(202);
          }
          const answers = await Promise.all([1, 2].map(() => commit(next(), path, digest)));
          const refused = answers.filter(({ status }) => status !== 201);
          expect(refused.filter(({ status }) => status !== 404)).toEqual([]);
          expect(refused.length).toBeLessThan(2);
          expect((await commit(next(), path, digest)).status).toBe(201);
          await expectEverywhere(repo, digest, size);
        },
      );
      await Promise.all(rounds);
    });

    test('keep what a client sent that vanished, wherever it did, and let it go on', async () => {
      const size = BENCH_PART_BYTES + 50_000;
      const rounds = [0, 1, 40_000, BENCH_PART_BYTES + 3, size].map(async (k) => {
        const next = bench.turns();
        const repo = bench.newRepository('vanished');
        const { bytes, digest } = fresh(size);
        const path = await openUpload(next(), repo);
        const slow = new SlowRequest(next(), { method: 'PATCH', path }, size + 1);
        await slow.write(bytes.subarray(0, k));
        await slow.vanish();
        const url = next();
        const offset = await waitFor(
          async () => {
            const kept = (await uploadedBytes(url, path)) ?? 0;
            const answer = await patch(next(), path, bytes.subarray(kept), kept);
            if (answer.status === 202) return { kept };
            expect(answer.status).toBe(416);
            return undefined;
          },
          { what: `the session to go on after byte ${k}` },
        );
        expect(offset.kept).toBeLessThanOrEqual(k);
        const answered = await commit(next(), path, digest);
        expect({ k, status: answered.status, offset }).toMatchObject({ k, status: 201 });
        expect(await pulledBlob(next(), repo, digest)).toEqual({ digest, size });
      });
      await Promise.all(rounds);
    });

    test('never let a request change a session that went on without it', async () => {
      const repo = bench.newRepository('stale');
      const size = BENCH_PART_BYTES + 1000;
      const { bytes, digest } = fresh(size);
      // What came before it stopped may be kept; what it sends afterwards may not.
      const lateByte = Buffer.from([bytes.at(-1)! ^ 1]);
      const path = await openUpload(bench.next(), repo);
      const late = bench.replica();
      bench.forgetCalls();
      const slow = new SlowRequest(late.url, { method: 'PATCH', path }, size);
      await slow.write(bytes.subarray(0, size - 1));
      await waitFor(
        async () =>
          store === 'files'
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
          { what: 'another replica to take the session over', timeoutMs: 40_000 },
        );
      } finally {
        late.kill('SIGCONT');
      }
      await slow.write(lateByte).catch(() => undefined);
      const refused = await slow.end().catch(() => undefined);
      expect([404, 416, undefined]).toContain(refused?.status);
      expect(await uploadedBytes(late.url, path)).toBe(size);
      expect((await commit(late.url, path, digest)).status).toBe(201);
      await expectEverywhere(repo, digest, size);
    });

    test('store one object when 50 clients push it to 50 repositories', async () => {
      const { bytes, digest } = fresh(300_000);
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
      for (const repo of repos.slice(0, 5)) await expectEverywhere(repo, digest, bytes.length);
    });

    test('refuse a wrong digest at the end, and take a sha512 that nobody announced', async () => {
      for (const size of [2_000, BENCH_PART_BYTES + 1]) {
        const repo = bench.newRepository('digests');
        const { bytes, digest } = fresh(size);
        const wrong = await openUpload(bench.next(), repo);
        expect((await patch(bench.next(), wrong, bytes)).status).toBe(202);
        const other = fresh(1).digest;
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
        await expectEverywhere(repo, sha512, size);
      }
    });

    test('read the staged bytes again only when chunks came to several replicas', async () => {
      if (store === 'files') return;
      const size = 3 * BENCH_PART_BYTES;
      const readsOf = async (chunks: number): Promise<number> => {
        const repo = bench.newRepository('reads');
        const { bytes, digest } = fresh(size);
        const path = await openUpload(bench.next(), repo);
        for (const { chunk } of cut(bytes, chunks)) {
          expect((await patch(bench.next(), path, chunk)).status).toBe(202);
        }
        bench.forgetCalls();
        expect((await commit(bench.next(), path, digest)).status).toBe(201);
        const isStaged = /_uploads\/[^/]+\/data-/;
        return bench.s3Calls.filter(
          ({ operation, key }) => operation === 'GetObject' && isStaged.test(key),
        ).length;
      };
      expect(await readsOf(1)).toBe(0);
      expect(await readsOf(2)).toBe(1);
    });

    test('end no request that goes on, however long it takes, and one that stops', async () => {
      const seconds = sizeOf('slowUploadSeconds');
      const replica = await bench.startReplica({ env: { HTTP_IDLE_TIMEOUT_SECONDS: '1' } });
      const repo = bench.newRepository('slow');
      const steps = seconds * 4;
      const { bytes, digest } = fresh(steps * 100);
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
      const { bytes } = fresh(2 * BENCH_PART_BYTES + 1);
      const paths = [];
      for (const size of [0, 10, 50_000, bytes.length]) {
        const path = await openUpload(bench.next(), repo);
        if (size > 0) {
          expect((await patch(bench.next(), path, bytes.subarray(0, size))).status).toBe(202);
        }
        paths.push(path);
      }
      if (store !== 'files') expect((await bench.openMultiparts()).length).toBeGreaterThan(0);
      await delay(1_100);
      await bench.startReplica({ env: { UPLOAD_TTL_SECONDS: '1' } });
      await waitFor(async () => (await bench.keys('/_uploads/')).length === 0, {
        what: 'the sessions to be removed',
        timeoutMs: 60_000,
      });
      for (const path of paths) expect(await uploadedBytes(bench.next(), path)).toBeUndefined();
      expect(await bench.openMultiparts()).toEqual([]);
    });
  });
});
