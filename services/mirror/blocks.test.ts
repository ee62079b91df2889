import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { DENIED, PatternRecords } from '../../shared/content/pattern-records.ts';
import { parseReferencePattern } from '../../shared/content/reference-pattern.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage, makeIndex } from '../../test/support/oci-fixtures.ts';
import {
  startTestMirror,
  type TestMirror,
  type TestMirrorOptions,
} from './testing/start-test-mirror.ts';

const signal = new AbortController().signal;

let upstream: FakeUpstream;
let mirror: TestMirror;
let image: FixtureImage;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  image = makeImage();
  upstream.addImage('library/hello', '1', image);
  mirror = await startTestMirror(upstream.url);
});
afterEach(async () => {
  await mirror.stop();
  await upstream.stop();
});

async function block(text: string): Promise<void> {
  const stored = new PatternRecords(mirror.store.records, DENIED);
  await stored.add(parseReferencePattern(text, [])!, undefined, systemClock, signal);
  mirror.clock.advance(60_000);
}
const statusOf = async (path: string): Promise<number> => (await mirror.send(path)).status;
/** Another mirror over the same store, with settings of its own. */
async function startAgain(options: TestMirrorOptions): Promise<void> {
  const { store } = mirror;
  const again = await startTestMirror(upstream.url, { ...options, store });
  const before = mirror;
  mirror = {
    ...again,
    stop: async () => {
      await again.stop();
      await before.stop();
    },
  };
}
const wasAskedFor = (digest: string): boolean =>
  upstream.seen.some(({ path: asked }) => asked.includes(digest));
const isStored = async (digest: string): Promise<boolean> =>
  (await mirror.files()).some((file) => file.includes(digest.slice('sha256:'.length)));

test('a blocked tag of an upstream is denied before the upstream is asked, under every spelling', async () => {
  await block('mirror/library/hello:1');
  for (const path of [
    '/v2/hello/manifests/1',
    '/v2/mirror/library/hello/manifests/1',
    '/v2/library/hello/manifests/1?ns=docker.io',
  ]) {
    expect(await statusOf(path)).toBe(403);
  }
  expect(upstream.seen).toEqual([]);
});

test('a blocked blob is neither served nor fetched, held or not', async () => {
  const [config, layer] = image.blobs;
  expect(await statusOf(`/v2/hello/blobs/${config!.digest}`)).toBe(200);
  await block(config!.digest);
  await block(layer!.digest);
  expect(await statusOf(`/v2/hello/blobs/${config!.digest}`)).toBe(403);
  expect(await statusOf(`/v2/hello/blobs/${layer!.digest}`)).toBe(403);
  expect(upstream.seen.some(({ path }) => path.includes(layer!.digest))).toBe(false);
});

test('a manifest that is blocked by its digest is denied by tag too, and the cache does not store it', async () => {
  await block(image.manifest.digest);
  expect(await statusOf('/v2/hello/manifests/1')).toBe(403);
  expect((await mirror.files()).some((path) => path.includes('revisions'))).toBe(false);
});

test('what is blocked is not fetched to complete an image in the background', async () => {
  const layer = image.blobs.at(-1)!.digest;
  await block(`mirror/library/hello@${layer}`);
  await startAgain({ upstream: { completeBytes: 1_000_000 } });
  expect(await statusOf('/v2/hello/manifests/1')).toBe(200);
  const told = (): boolean =>
    mirror.edge.lines.some(({ message }) => message === 'an image stays incomplete');
  await until(told);
  expect([wasAskedFor(layer), await isStored(layer)]).toEqual([false, false]);
});

test('a blocked platform of an index is not fetched ahead', async () => {
  const index = makeIndex(['amd64']);
  upstream.addIndex('library/two', '1', index);
  const child = index.images[0]!.manifest.digest;
  await block(child);
  await startAgain({ upstream: { prefetchPlatforms: ['linux/amd64'] } });
  expect(await statusOf('/v2/two/manifests/1')).toBe(200);
  const told = (): boolean =>
    mirror.edge.lines.some(({ message }) => message === 'an image stays incomplete');
  await until(told);
  expect([wasAskedFor(child), await isStored(child)]).toEqual([false, false]);
});

test('keeping images warm fetches nothing that is blocked, and tells why', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'warm-'));
  try {
    const file = path.join(folder, 'images.txt');
    writeFileSync(file, 'hello:1\n');
    await block('mirror/library/hello:*');
    const schedule = { kind: 'interval', ms: 24 * 60 * 60_000 } as const;
    await startAgain({ warm: { file, schedule, platforms: [] } });
    const failed = (): Record<string, unknown> | undefined =>
      mirror.edge.lines.find(({ fields }) => fields['image'] === 'hello:1')?.fields;
    await until(() => failed() !== undefined);
    expect(failed()?.['reason']).toMatch(/^blocked by the operator/);
    expect(upstream.seen).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a tag that its upstream has moved to a blocked manifest is denied, and the manifest is not stored', async () => {
  expect(await statusOf('/v2/hello/manifests/1')).toBe(200);
  const bad = makeImage();
  upstream.addImage('library/hello', '1', bad);
  await block(bad.manifest.digest);
  mirror.clock.advance(10 * 60_000);
  expect(await statusOf('/v2/hello/manifests/1')).toBe(403);
  expect(await isStored(bad.manifest.digest)).toBe(false);
});
