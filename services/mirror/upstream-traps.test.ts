import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, TAG_TTL_SECONDS, type TestMirror } from './testing/start-test-mirror.ts';

const TAG = '/v2/hello/manifests/1';

let upstream: FakeUpstream;
let mirror: TestMirror;
let image: FixtureImage;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  image = makeImage({ layerBytes: [1_000_000] });
  upstream.addImage('library/hello', '1', image);
  mirror = await startTestMirror(upstream.url);
});
afterEach(async () => {
  await mirror.stop();
  await upstream.stop();
});

test('a download that fails is told to everybody who joined it, and to nobody after them', async () => {
  const layer = image.blobs.at(-1)!;
  const path = `/v2/hello/blobs/${layer.digest}`;
  const gate = Promise.withResolvers<undefined>();
  upstream.behaviour.flipsBit = true;
  upstream.behaviour.blobPauses = [{ atByte: 500_000, until: gate.promise }];
  const url = `http://127.0.0.1:${mirror.port}${path}`;
  const begun = await Promise.all(Array.from({ length: 8 }, () => fetch(url)));
  gate.resolve(undefined);
  for (const answer of begun) await expect(answer.arrayBuffer()).rejects.toThrow();
  expect(upstream.count('GET', `/v2/library/hello/blobs/${layer.digest}`)).toBe(1);
  upstream.behaviour.flipsBit = false;
  upstream.behaviour.blobPauses = [];
  expect((await mirror.send(path)).body.equals(layer.bytes)).toBe(true);
});

test('a tag that moves between the question and the answer gives one image or the other, and then the last', async () => {
  await mirror.send(TAG);
  const moves = [makeImage(), makeImage()];
  let asked = 0;
  upstream.addImage('library/hello', '1', moves[0]!);
  upstream.behaviour.onRequest = ({ method }) => {
    asked += 1;
    if (method === 'GET') upstream.addImage('library/hello', '1', moves[1]!);
  };
  mirror.clock.advance(TAG_TTL_SECONDS * 3_000);
  const answer = await mirror.send(TAG);
  expect(asked).toBe(2);
  expect(answer.status).toBe(200);
  const digest = digestOf(answer.body);
  expect(moves.map(({ manifest }) => manifest.digest)).toContain(digest);
  expect(answer.headers['docker-content-digest']).toBe(digest);
  expect(digestOf((await mirror.send(TAG)).body)).toBe(digest);
  mirror.clock.advance(TAG_TTL_SECONDS * 3_000);
  expect(digestOf((await mirror.send(TAG)).body)).toBe(moves[1]!.manifest.digest);
});

test('nothing of what an upstream says in its headers goes on to clients, but what describes the content', async () => {
  upstream.behaviour.headers = {
    'set-cookie': 'session=upstream',
    'x-ms-copy-source': 'https://store.example/private/name',
    'strict-transport-security': 'max-age=1',
    server: 'upstream/1',
    'docker-distribution-api-version': 'upstream/9',
  };
  for (const path of [TAG, ...image.blobs.map(({ digest }) => `/v2/hello/blobs/${digest}`)]) {
    const { status, headers } = await mirror.send(path);
    expect(status).toBe(200);
    expect(JSON.stringify(headers)).not.toMatch(/upstream\/|session|store\.example|max-age=1"/);
  }
});
