import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import type { ProxyObservation } from '../../shared/observability/observer.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import {
  digestOf,
  type FixtureImage,
  type FixtureIndex,
  makeImage,
  makeIndex,
  MEDIA_TYPES,
} from '../../test/support/oci-fixtures.ts';
import { isLinked } from './testing/is-linked.ts';
import { startTestMirror, type TestMirror } from './testing/start-test-mirror.ts';

const MIB = 1024 * 1024;

let upstream: FakeUpstream;
let mirror: TestMirror;

const start = async (settings: Partial<UpstreamConfig>): Promise<void> => {
  mirror = await startTestMirror(upstream.url, { upstream: settings });
};
const pullManifest = async (reference: string): Promise<void> => {
  const answer = await mirror.send(`/v2/hello/manifests/${reference}`);
  expect(answer.status).toBe(200);
};
const has = (kind: 'blob' | 'manifest', digest: string): Promise<boolean> =>
  isLinked(mirror, digest, undefined, kind);
const isComplete = async ({ blobs }: FixtureImage): Promise<boolean> =>
  (await Promise.all(blobs.map(({ digest }) => has('blob', digest)))).every(Boolean);
const fetched = (digest: string): number =>
  upstream.count('GET', `/v2/library/hello/blobs/${digest}`);
/** Holds back every blob until it is called. */
function holdBlobs(): () => void {
  const gate = Promise.withResolvers<undefined>();
  upstream.behaviour.blobPauses = [{ atByte: 0, until: gate.promise }];
  return () => {
    gate.resolve(undefined);
  };
}
/** What the store alone has of the image, as the push service would serve it. */
const heldStatus = async (reference: string): Promise<number> =>
  (await mirror.send(`/v2/local/mirror/library/hello/manifests/${reference}`)).status;

beforeEach(async () => {
  upstream = await startFakeUpstream();
});

afterEach(async () => {
  await mirror.stop();
  await upstream.stop();
});

describe('an image whose manifest was pulled', () => {
  test('is completed in the background, each blob fetched once, and is then held without its upstream', async () => {
    const image = makeImage({ layerBytes: [50_000, 10] });
    upstream.addImage('library/hello', '1', image);
    await start({ completeBytes: MIB });
    const goOn = holdBlobs();
    await pullManifest('1');
    expect(await heldStatus('1')).toBe(404);
    goOn();
    await until(async () => (await heldStatus('1')) === 200);
    for (const { digest } of image.blobs) expect(fetched(digest)).toBe(1);
    await upstream.goDown();
    for (const { digest, bytes } of image.blobs) {
      const answer = await mirror.send(`/v2/hello/blobs/${digest}`);
      expect([answer.status, answer.body.equals(bytes)]).toEqual([200, true]);
      expect(answer.headers['x-cache']).toBe('HIT; upstream=mirror');
    }
    // What nobody asked for counts as bytes that came, not as pulls.
    const background = (): readonly ProxyObservation[] =>
      mirror.proxied.filter(({ outcome }) => outcome === 'background');
    await until(() => background().length === image.blobs.length);
    const size = image.blobs.reduce((total, { bytes }) => total + bytes.length, 0);
    expect(background().reduce((total, { bytesPulled = 0 }) => total + bytesPulled, 0)).toBe(size);
    expect(mirror.proxied.filter(({ outcome }) => outcome === 'miss')).toHaveLength(1);
  });

  test('is left as it is when it is larger than completeBytes', async () => {
    const small = makeImage({ layerBytes: [100] });
    upstream.addImage('library/hello', 'large', makeImage({ layerBytes: [200_000] }));
    upstream.addImage('library/hello', 'small', small);
    await start({ completeBytes: 100_000 });
    await pullManifest('large');
    await pullManifest('small');
    await until(() => isComplete(small));
    expect(upstream.seen.filter(({ path }) => path.includes('/blobs/'))).toHaveLength(2);
    expect(await heldStatus('large')).toBe(404);
  });

  test('is not completed where it may not be stored', async () => {
    const image = makeImage();
    upstream.behaviour.wantsToken = true;
    upstream.behaviour.account = { username: 'u', password: 'p' };
    upstream.behaviour.privateRepositories.add('library/hello');
    upstream.addImage('library/hello', '1', image);
    await start({
      completeBytes: MIB,
      credentials: [{ kind: 'password', username: 'u', password: 'p' }],
    });
    expect((await mirror.send('/v2/hello/manifests/1')).status).toBe(403);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(upstream.seen.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
    expect(await mirror.files()).toEqual([]);
  });

  test('does not fetch foreign layers, and needs none of them to be held', async () => {
    const image = makeImage();
    const foreign = { digest: digestOf(Buffer.from('elsewhere')), size: 9 };
    const body = JSON.parse(image.manifest.bytes.toString()) as { layers: object[] };
    body.layers.push({
      ...foreign,
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      urls: ['https://elsewhere.example/layer'],
    });
    const bytes = Buffer.from(JSON.stringify(body));
    const manifest = { bytes, digest: digestOf(bytes), mediaType: image.manifest.mediaType };
    upstream.addImage('library/hello', '1', { ...image, manifest });
    await start({ completeBytes: MIB });
    await pullManifest('1');
    await until(async () => (await heldStatus('1')) === 200);
    expect(upstream.seen.filter(({ path }) => path.includes(foreign.digest))).toEqual([]);
  });

  test('joins the download that a client has begun, and lets it go first', async () => {
    const image = makeImage({ layerBytes: [300_000] });
    const layer = image.blobs.at(-1)!;
    upstream.addImage('library/hello', '1', image);
    await start({ completeBytes: MIB });
    const goOn = holdBlobs();
    await pullManifest('1');
    const pulling = mirror.send(`/v2/hello/blobs/${layer.digest}`);
    await until(() => fetched(layer.digest) === 1);
    await new Promise((resolve) => setTimeout(resolve, 600));
    goOn();
    expect((await pulling).body.equals(layer.bytes)).toBe(true);
    await until(() => isComplete(image));
    expect(fetched(layer.digest)).toBe(1);
  });

  test('that waits is dropped when the mirror ends', async () => {
    upstream.addImage('library/hello', '1', makeImage());
    const clock = new ManualClock();
    mirror = await startTestMirror(upstream.url, {
      upstream: { completeBytes: MIB },
      over: { clock },
    });
    await pullManifest('1');
    await mirror.role.close();
    expect(clock.sleepers).toBe(0);
    expect(upstream.seen.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
  });
});

describe.each(['oci', 'docker'] as const)('an index (%s)', (format) => {
  let index: FixtureIndex;
  const [AMD, ARM] = [0, 1];

  beforeEach(() => {
    index = makeIndex(['amd64', 'arm64', 's390x'], { format });
    upstream.addIndex('library/hello', '1', index);
  });

  test('is kept byte for byte, and of its children only what was asked for is fetched and held', async () => {
    await start({ completeBytes: MIB });
    const goOn = holdBlobs();
    const answer = await mirror.send('/v2/hello/manifests/1');
    expect(answer.body).toEqual(index.manifest.bytes);
    expect(answer.headers['content-type']).toBe(MEDIA_TYPES[format].index);
    const { manifest } = index.images[AMD]!;
    // The manifest of the child is here, its blobs are not: of the index nothing can be run yet.
    await pullManifest(manifest.digest);
    expect(await heldStatus('1')).toBe(404);
    goOn();
    await until(async () => (await heldStatus('1')) === 200);
    const asked = upstream.seen.map(({ path }) => path);
    for (const other of index.images.slice(1)) {
      for (const { digest } of [other.manifest, ...other.blobs]) {
        expect(asked.filter((path) => path.endsWith(digest))).toEqual([]);
      }
      expect(await heldStatus(other.manifest.digest)).toBe(404);
    }
    await upstream.goDown();
    const stored = await mirror.send(`/v2/local/mirror/library/hello/manifests/1`);
    expect(stored.body).toEqual(index.manifest.bytes);
    expect(await heldStatus(manifest.digest)).toBe(200);
  });

  test('has the platforms of prefetchPlatforms fetched whole, whatever their size', async () => {
    await start({ completeBytes: 0, prefetchPlatforms: ['linux/arm64'] });
    await pullManifest('1');
    const { manifest } = index.images[ARM]!;
    await until(async () => (await heldStatus(manifest.digest)) === 200);
    expect(await heldStatus(index.images[AMD]!.manifest.digest)).toBe(404);
    expect(await heldStatus('1')).toBe(200);
  });
});

test('what an index lists beside images is left alone: attestations, and children of unknown types', async () => {
  const image = makeImage();
  const attestation = makeImage({ layerBytes: [10] });
  const listed = [
    { image, platform: { os: 'linux', architecture: 'amd64' } },
    { image: attestation, platform: { os: 'unknown', architecture: 'unknown' } },
  ].map(({ image: { manifest }, platform }) => ({
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.bytes.length,
    platform,
  }));
  const odd = {
    mediaType: 'application/vnd.example.thing.v1+json',
    digest: digestOf(Buffer.from('thing')),
    size: 5,
  };
  const mediaType = MEDIA_TYPES.oci.index;
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType, manifests: [...listed, odd] }),
  );
  const manifest = { bytes, digest: digestOf(bytes), mediaType };
  upstream.addIndex('library/hello', '1', { manifest, images: [image, attestation] });
  await start({ completeBytes: MIB, prefetchPlatforms: ['linux/amd64'] });
  await pullManifest('1');
  await until(async () => (await heldStatus('1')) === 200);
  const asked = upstream.seen.map(({ path }) => path);
  expect(asked.filter((path) => path.endsWith(attestation.manifest.digest))).toEqual([]);
  expect(asked.filter((path) => path.endsWith(odd.digest))).toEqual([]);
});

test('an artifact manifest with blobs instead of layers is completed like an image', async () => {
  const image = makeImage();
  const mediaType = 'application/vnd.oci.artifact.manifest.v1+json';
  const blobs = image.blobs.map(({ digest, bytes }) => ({
    mediaType: 'application/octet-stream',
    digest,
    size: bytes.length,
  }));
  const bytes = Buffer.from(
    JSON.stringify({ mediaType, artifactType: 'application/vnd.example', blobs }),
  );
  const manifest = { bytes, digest: digestOf(bytes), mediaType };
  upstream.addImage('library/hello', '1', { ...image, manifest });
  await start({ completeBytes: MIB });
  await pullManifest('1');
  await until(async () => (await heldStatus('1')) === 200);
});
