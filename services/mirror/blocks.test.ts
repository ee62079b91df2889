import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { DENIED, PatternRecords } from '../../shared/content/pattern-records.ts';
import { parseReferencePattern } from '../../shared/content/reference-pattern.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, type TestMirror } from './testing/start-test-mirror.ts';

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
