import { createHash, randomBytes } from 'node:crypto';
import { get, request as sendRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { ResidentMemory } from '../support/resident-memory.ts';
import { sizeOf } from '../support/sizes.ts';
import { UploadBench } from '../support/upload-bench.ts';
import { commit, openUpload } from '../support/upload-client.ts';

const MIB = 1024 * 1024;
const BLOCK_BYTES = MIB;
/** What a push or a pull may take besides what the process has anyway, however large the blob is. */
const ALLOWED_GROWTH_BYTES = 192 * MIB;

const STORES = [
  { store: 'minio without a proxy', tools: ['minio'] },
  { store: 'files', tools: [] },
] as const;

describe.each(STORES)('over $store', ({ store, tools }) => {
  describeWithTools(tools, `a blob larger than memory should be, over ${store}`, () => {
    const bench = new UploadBench(store);
    beforeAll(() => bench.start(1));
    afterAll(() => bench.stop());

    test('is pushed by one request of unknown length and pulled again, in little memory', async () => {
      const size = sizeOf('giantBlobBytes');
      const replica = bench.replica();
      const repo = bench.newRepository('giant');
      const path = await openUpload(replica.url, repo);
      const pushing = new ResidentMemory(replica.pid);
      const pushStartMs = performance.now();
      const digest = await pushBlocks(replica.url, path, size);
      const pushMs = performance.now() - pushStartMs;
      expect((await commit(replica.url, path, digest)).status).toBe(201);
      const commitMs = performance.now() - pushStartMs - pushMs;
      const pushPeak = pushing.stop();
      const pulling = new ResidentMemory(replica.pid);
      const pullStartMs = performance.now();
      const pulled = await pull(`${replica.url}/v2/${repo}/blobs/${digest}`);
      const pullMs = performance.now() - pullStartMs;
      const pullPeak = pulling.stop();
      expect(pulled).toEqual({ digest, size });
      console.log(
        `${store}: ${size / MIB} MiB pushed in ${seconds(pushMs)} s, committed in ${seconds(commitMs)} s, pulled in ` +
          `${seconds(pullMs)} s; memory at rest ${mib(pushing.atRest)} MiB, at most ${mib(pushPeak)} MiB while it was ` +
          `pushed and ${mib(pullPeak)} MiB while it was pulled`,
      );
      expect(pushPeak - pushing.atRest).toBeLessThan(ALLOWED_GROWTH_BYTES);
      expect(pullPeak - pushing.atRest).toBeLessThan(ALLOWED_GROWTH_BYTES);
    });
  });
});

/** Sends blocks that all differ; resolves to the digest of all. */
async function pushBlocks(url: string, path: string, size: number): Promise<string> {
  const hash = createHash('sha256');
  const random = randomBytes(BLOCK_BYTES);
  const blocks = function* (): Generator<Buffer> {
    for (let sent = 0; sent < size; sent += BLOCK_BYTES) {
      const block = Buffer.from(random.subarray(0, Math.min(BLOCK_BYTES, size - sent)));
      block.writeDoubleBE(sent);
      hash.update(block);
      yield block;
    }
  };
  const request = sendRequest(new URL(path, url), { method: 'PATCH', agent: false });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  await pipeline(Readable.from(blocks(), { objectMode: false }), request);
  const [response] = await answered;
  response.resume();
  expect(response.statusCode).toBe(202);
  return `sha256:${hash.digest('hex')}`;
}

async function pull(url: string): Promise<{ digest: string; size: number }> {
  const request = get(url, { agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}

const mib = (bytes: number): number => Math.round(bytes / MIB);
const seconds = (ms: number): string => (ms / 1000).toFixed(1);
