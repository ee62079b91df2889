import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { waitFor } from '../../shared/concurrency/single-flight.ts';
import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import type { TestAnswer } from '../../shared/http/testing/http-client.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import type { Leases, OriginIndex } from '../../shared/index/ports.ts';
import { parseTag, parseRepositoryName } from '../../shared/oci/reference.ts';
import type { BlobStore } from '../../shared/storage/blob-store.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import { withPut } from '../../shared/storage/with-put.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, type TestMirror, TAG_TTL_SECONDS } from './testing/start-test-mirror.ts';

const NAME = parseRepositoryName('mirror/library/hello')!;
const TAG = parseTag('1')!;
const neverEnds = new AbortController().signal;

let upstream: FakeUpstream;
let store: TempStore;
let mirror: TestMirror;
let image: FixtureImage;
/** The store takes nothing before it resolves. */
let gate: PromiseWithResolvers<undefined>;

const gated = (blobs: BlobStore): BlobStore =>
  withPut(blobs, async (digest, body, size, signal) => {
    await waitFor(gate.promise, signal);
    return blobs.put(digest, body, size, signal);
  });

beforeEach(async () => {
  gate = Promise.withResolvers();
  upstream = await startFakeUpstream();
  image = makeImage({ layerBytes: [1000] });
  upstream.addImage('library/hello', '1', image);
  store = await createTempStore();
  mirror = await startTestMirror(upstream.url, { store, blobs: gated });
});
afterEach(async () => {
  gate.resolve(undefined);
  await mirror.stop();
  await upstream.stop();
  await store.remove();
});

const get = (reference: string, method = 'GET'): Promise<TestAnswer> =>
  mirror.send(`/v2/hello/manifests/${reference}`, { method });
const tagged = (): Promise<string | undefined> => store.index.tags.get(NAME, TAG, neverEnds);
const manifestsAsked = (): number =>
  upstream.seen.filter(({ path }) => path.includes('/manifests/')).length;

describe('a manifest that the upstream gave', () => {
  test('is answered while the store has not taken it, and stored once it does', async () => {
    const answer = await get('1');
    expect([answer.status, answer.headers['x-cache']]).toEqual([
      200,
      'MISS; upstream=mirror; age=0',
    ]);
    expect(answer.body).toEqual(image.manifest.bytes);
    expect(await tagged()).toBeUndefined();
    gate.resolve(undefined);
    await until(async () => (await tagged()) === image.manifest.digest);
  });

  test('is had by its digest before it is stored, without asking the upstream again', async () => {
    expect((await get('1', 'HEAD')).status).toBe(200);
    const answer = await get(image.manifest.digest);
    expect([answer.status, answer.headers['x-cache']]).toEqual([200, 'HIT; upstream=mirror']);
    expect(answer.body).toEqual(image.manifest.bytes);
    expect(await tagged()).toBeUndefined();
    expect(manifestsAsked()).toBe(1);
  });

  test('is waited for by the next pull of its tag, which does not ask the upstream again', async () => {
    await get('1');
    const next = get('1');
    gate.resolve(undefined);
    expect((await next).headers['x-cache']).toMatch(/^HIT;/);
    expect(manifestsAsked()).toBe(1);
  });

  test('is stored before the mirror ends', async () => {
    await get('1');
    const closing = mirror.role.close();
    gate.resolve(undefined);
    await closing;
    expect(await tagged()).toBe(image.manifest.digest);
  });

  test('does not hold the end of the mirror up when its store hangs', async () => {
    await get('1');
    await mirror.role.close();
    expect(await tagged()).toBeUndefined();
    expect(mirror.edge.lines.map(({ message }) => message)).toContain(
      'the cache could not be written',
    );
  });

  test('and that the store then refuses is asked for again, as its tag is not confirmed', async () => {
    await get('1');
    gate.reject(new Error('the disk is full'));
    await until(() => mirror.edge.lines.some(({ level }) => level === 'warn'));
    gate = Promise.withResolvers();
    gate.resolve(undefined);
    expect((await get('1')).headers['x-cache']).toMatch(/^MISS;/);
    expect(manifestsAsked()).toBe(2);
    await until(async () => (await tagged()) === image.manifest.digest);
  });

  test('under a tag that moved is what everybody gets from then on', async () => {
    gate.resolve(undefined);
    await get('1');
    await until(async () => (await tagged()) === image.manifest.digest);
    const moved = makeImage({ layerBytes: [2000] });
    upstream.addImage('library/hello', '1', moved);
    mirror.clock.advance(TAG_TTL_SECONDS * 1000 + 1000);
    gate = Promise.withResolvers();
    expect((await get('1')).body).toEqual(moved.manifest.bytes);
    const next = get('1');
    gate.resolve(undefined);
    expect((await next).body).toEqual(moved.manifest.bytes);
    expect((await get('1')).body).toEqual(moved.manifest.bytes);
  });
});

describe('a tag whose image is still on its way to the store', () => {
  /** As where another process is taken for dead: nobody waits for the one before. */
  const nobodyWaits: Leases = {
    acquire: () => Promise.resolve(undefined),
    holder: () => Promise.resolve(undefined),
  };
  const getLater = (): Promise<TestAnswer> => {
    mirror.clock.advance(TAG_TTL_SECONDS * 1000 + 1000);
    return get('1');
  };

  beforeEach(async () => {
    await mirror.stop();
    const over = { index: { ...store.index, leases: nobodyWaits } };
    mirror = await startTestMirror(upstream.url, { store, blobs: gated, over });
  });

  test('and that moves on ends at the image that it named last', async () => {
    const moved = makeImage({ layerBytes: [2000] });
    const first = gate;
    await get('1');
    upstream.addImage('library/hello', '1', moved);
    gate = Promise.withResolvers();
    gate.resolve(undefined);
    expect((await getLater()).body).toEqual(moved.manifest.bytes);
    first.resolve(undefined);
    await mirror.role.close();
    expect(await tagged()).toBe(moved.manifest.digest);
  });

  test('and that its upstream deletes stays deleted', async () => {
    await get('1');
    upstream.removeTag('library/hello', '1');
    const next = getLater();
    await until(() => upstream.count('HEAD', '/v2/library/hello/manifests/1') === 1);
    gate.resolve(undefined);
    expect((await next).status).toBe(404);
    expect(await tagged()).toBeUndefined();
  });
});

describe('a proof that a new repository is public, while it is being written down', () => {
  const account = { username: 'u', password: 'p' };
  let marking: PromiseWithResolvers<undefined>;
  const layer = (): { digest: string; bytes: Buffer } => image.blobs.at(-1)!;
  const getLayer = (): Promise<TestAnswer> => mirror.send(`/v2/hello/blobs/${layer().digest}`);
  const links = async (): Promise<string[]> =>
    (await mirror.files()).filter((name) => name.endsWith('/link'));
  let isMarking: boolean;

  beforeEach(async () => {
    gate.resolve(undefined);
    marking = Promise.withResolvers();
    isMarking = false;
    await mirror.stop();
    upstream.behaviour.wantsToken = true;
    upstream.behaviour.account = account;
    const { origins } = store.index;
    const slowly: OriginIndex = {
      get: (...get) => origins.get(...get),
      put: async (name, marker, signal) => {
        isMarking = true;
        await waitFor(marking.promise, signal);
        await origins.put(name, marker, signal);
      },
    };
    const over = { index: { ...store.index, origins: slowly } };
    mirror = await startTestMirror(upstream.url, { store, ...account, over });
  });
  afterEach(() => {
    marking.resolve(undefined);
  });

  test('counts already, and nothing is linked before it is written', async () => {
    const first = get('1');
    await until(() => isMarking);
    expect((await getLayer()).body).toEqual(layer().bytes);
    expect(await links()).toEqual([]);
    marking.resolve(undefined);
    expect((await first).status).toBe(200);
    await until(async () => (await tagged()) === image.manifest.digest);
    await until(async () => (await links()).some((name) => name.includes('_layers')));
  });

  test('and that cannot be written leaves nothing that would be taken for pushed', async () => {
    const first = get('1');
    await until(() => isMarking);
    expect((await getLayer()).body).toEqual(layer().bytes);
    marking.reject(new StorageError('origin.put', 'the disk is full'));
    expect((await first).status).toBe(200);
    await mirror.role.close();
    expect(await links()).toEqual([]);
  });
});
