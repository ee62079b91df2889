import { once } from 'node:events';
import { connect } from 'node:net';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { errorCode, openAnswer } from '../../shared/http/testing/http-client.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { parseDigest } from '../../shared/oci/digest.ts';
import { parseRepositoryName } from '../../shared/oci/reference.ts';
import { auditStore } from '../../shared/storage/testing/audit-store.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureBlob, type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { isLinked } from './testing/is-linked.ts';
import {
  startTestMirror,
  TAG_TTL_SECONDS,
  type TestMirror,
  type TestMirrorOptions,
} from './testing/start-test-mirror.ts';
import { untilStored } from './testing/until-stored.ts';
import { withoutPut } from './testing/without-put.ts';

const MIB = 1024 * 1024;

let upstream: FakeUpstream;
let mirror: TestMirror;
let image: FixtureImage;
let layer: FixtureBlob;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  image = makeImage({ layerBytes: [MIB] });
  layer = image.blobs.at(-1)!;
  upstream.addImage('library/hello', '1', image);
  mirror = await startTestMirror(upstream.url);
});

afterEach(async () => {
  try {
    // Whatever went wrong in between: nothing wrong was stored.
    const audit = { allowsMissingReferences: true };
    expect(await auditStore(mirror.store.records, mirror.store.blobs, audit)).toEqual([]);
  } finally {
    await mirror.stop();
    await upstream.stop();
  }
});

async function restartWith(options: TestMirrorOptions): Promise<void> {
  await mirror.stop();
  mirror = await startTestMirror(upstream.url, options);
}

const manifestPath = (reference: string, name = 'hello'): string =>
  `/v2/${name}/manifests/${reference}`;
const blobPath = (digest: string, name = 'hello'): string => `/v2/${name}/blobs/${digest}`;
const isStored = async (digest: string): Promise<boolean> =>
  (await mirror.store.blobs.stat(parseDigest(digest)!, new AbortController().signal)) !== undefined;
const tagLife = (): void => mirror.clock.advance(TAG_TTL_SECONDS * 1000 + 1000);

async function pullAll(name = 'hello'): Promise<void> {
  const manifest = await mirror.send(manifestPath('1', name));
  expect(manifest.status).toBe(200);
  expect(manifest.body).toEqual(image.manifest.bytes);
  for (const blob of image.blobs) {
    const answer = await mirror.send(blobPath(blob.digest, name));
    expect(answer.status).toBe(200);
    expect(answer.body.equals(blob.bytes)).toBe(true);
  }
  for (const { digest } of image.blobs) {
    await until(() => isLinked(mirror, digest));
  }
}

describe('a pull', () => {
  test('asks the upstream once for each thing, and never again for what is held', async () => {
    await pullAll();
    expect(upstream.count('GET', '/v2/library/hello/manifests/1')).toBe(1);
    expect(upstream.count('GET', `/v2/library/hello/blobs/${layer.digest}`)).toBe(1);
    upstream.forget();
    await pullAll();
    expect((await mirror.send(manifestPath(image.manifest.digest))).status).toBe(200);
    expect(upstream.seen).toEqual([]);
    await until(() => mirror.proxied.length === 7);
    expect(mirror.proxied.map(({ kind, outcome }) => `${kind} ${outcome}`).sort()).toEqual([
      'blob hit',
      'blob hit',
      'blob miss',
      'blob miss',
      'manifest hit',
      'manifest hit',
      'manifest miss',
    ]);
    const sum = (of: 'bytesPulled' | 'bytesPushed'): number =>
      mirror.proxied.reduce((total, observation) => total + (observation[of] ?? 0), 0);
    const size = [image.manifest, ...image.blobs].reduce(
      (total, { bytes }) => total + bytes.length,
      0,
    );
    expect(sum('bytesPulled')).toBe(size);
    expect(sum('bytesPushed')).toBe(2 * size + image.manifest.bytes.length);
  });

  test('has the same cached copy under all spellings', async () => {
    await pullAll();
    upstream.forget();
    for (const name of [
      'library/hello',
      'mirror/hello',
      'mirror/library/hello',
      'docker.io/hello',
    ]) {
      await pullAll(name);
    }
    expect((await mirror.send(`${manifestPath('1')}?ns=docker.io`)).status).toBe(200);
    expect(upstream.seen).toEqual([]);
  });

  test('asks for bytes as they are, not compressed on the way', async () => {
    await pullAll();
    expect(new Set(upstream.seen.map(({ acceptEncoding }) => acceptEncoding))).toEqual(
      new Set(['identity']),
    );
  });

  test('of twenty clients at once makes one request upstream for each thing', async () => {
    await Promise.all(Array.from({ length: 20 }, () => pullAll()));
    expect(upstream.count('GET', '/v2/library/hello/manifests/1')).toBe(1);
    for (const { digest } of image.blobs) {
      expect(upstream.count('GET', `/v2/library/hello/blobs/${digest}`)).toBe(1);
    }
    expect(upstream.seen).toHaveLength(1 + image.blobs.length);
  });

  test('marks the repository before anything is linked into it', async () => {
    await pullAll();
    const signal = new AbortController().signal;
    const name = parseRepositoryName('mirror/library/hello')!;
    expect(await mirror.store.index.origins.get(name, signal)).toMatchObject({
      upstreamUrl: upstream.url,
      upstreamRepository: 'library/hello',
      verdict: 'public',
    });
  });

  test('of a name under a foreign ns is answered 404 without dialling anybody', async () => {
    const answer = await mirror.send(`${manifestPath('1')}?ns=${new URL(upstream.url).hostname}:1`);
    expect([answer.status, errorCode(answer)]).toEqual([404, 'NAME_UNKNOWN']);
    expect(upstream.seen).toEqual([]);
  });

  test('of what the upstream does not have is answered 404', async () => {
    const manifest = await mirror.send(manifestPath('2'));
    expect([manifest.status, errorCode(manifest)]).toEqual([404, 'MANIFEST_UNKNOWN']);
    const blob = await mirror.send(blobPath(`sha256:${'0'.repeat(64)}`));
    expect([blob.status, errorCode(blob)]).toEqual([404, 'BLOB_UNKNOWN']);
    expect(await mirror.files()).toEqual([]);
  });

  test('lists the upstream tags, and those that are held while it is down', async () => {
    upstream.addImage('library/hello', '0', makeImage());
    await pullAll();
    const live = await mirror.send('/v2/hello/tags/list');
    expect(JSON.parse(live.body.toString())).toMatchObject({ tags: ['0', '1'] });
    await untilStored(mirror, '1');
    await upstream.goDown();
    // A list is as fresh as a tag.
    const known = await mirror.send('/v2/hello/tags/list');
    expect(JSON.parse(known.body.toString())).toMatchObject({ tags: ['0', '1'] });
    tagLife();
    const held = await mirror.send('/v2/hello/tags/list');
    expect(JSON.parse(held.body.toString())).toMatchObject({ tags: ['1'] });
  });
});

describe('a blob on its way', () => {
  test('is kept although its only client leaves', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.blobPauses = [{ atByte: MIB / 2, until: promise }];
    const client = await openAnswer(mirror.port, blobPath(layer.digest));
    expect(client.statusCode).toBe(200);
    client.on('error', () => undefined).destroy();
    resolve(undefined);
    await until(() => isLinked(mirror, layer.digest));
    expect(upstream.count('GET', `/v2/library/hello/blobs/${layer.digest}`)).toBe(1);
  });

  test('goes out before all of it has come in', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.blobPauses = [{ atByte: MIB / 2, until: promise }];
    const client = await openAnswer(mirror.port, blobPath(layer.digest));
    const first = await new Promise<Buffer>((got) => client.once('data', got));
    expect(layer.bytes.subarray(0, first.length).equals(first)).toBe(true);
    resolve(undefined);
    client.destroy();
  });

  test('is not held up by a client that does not read', async () => {
    // More than the sockets in between take up by themselves.
    const large = makeImage({ layerBytes: [24 * MIB] }).blobs.at(-1)!;
    upstream.addBlob('library/hello', large.digest, large.bytes);
    const slow = await openAnswer(mirror.port, blobPath(large.digest));
    const fast = await mirror.send(blobPath(large.digest));
    expect(fast.body.equals(large.bytes)).toBe(true);
    await until(() => isLinked(mirror, large.digest));
    const late: Buffer[] = [];
    for await (const chunk of slow as AsyncIterable<Buffer>) late.push(chunk);
    expect(Buffer.concat(late).equals(large.bytes)).toBe(true);
    expect(upstream.count('GET', `/v2/library/hello/blobs/${large.digest}`)).toBe(1);
  });

  test.each([0, 1, MIB / 2, MIB])(
    'continues when the upstream breaks off at byte %d',
    async (atByte) => {
      upstream.behaviour.cutBlob = { atByte, times: 1 };
      const answer = await mirror.send(blobPath(layer.digest));
      expect(answer.body.equals(layer.bytes)).toBe(true);
      await until(() => isLinked(mirror, layer.digest));
    },
  );

  test('ends short when the upstream keeps breaking off, and the next pull succeeds', async () => {
    upstream.behaviour.cutBlob = { atByte: MIB / 2, times: 1000 };
    await expect(mirror.send(blobPath(layer.digest))).rejects.toThrow();
    expect(await isStored(layer.digest)).toBe(false);
    upstream.behaviour.cutBlob = undefined;
    await pullAll();
  });

  test('with a wrong bit never completes and is never stored, and the next pull succeeds', async () => {
    upstream.behaviour.flipsBit = true;
    await expect(mirror.send(blobPath(layer.digest))).rejects.toThrow();
    const small = image.blobs[0]!;
    await expect(mirror.send(blobPath(small.digest))).rejects.toThrow();
    const range = { headers: { range: 'bytes=10-20' } };
    await expect(mirror.send(blobPath(layer.digest), range)).rejects.toThrow();
    expect(await mirror.files()).toEqual([]);
    upstream.behaviour.flipsBit = false;
    await pullAll();
  });

  test('serves a range and a HEAD while it is cold', async () => {
    const head = await mirror.send(blobPath(layer.digest), { method: 'HEAD' });
    expect(head.headers['content-length']).toBe(String(layer.bytes.length));
    const part = await mirror.send(blobPath(layer.digest), { headers: { range: 'bytes=500-999' } });
    expect(part.status).toBe(206);
    expect(part.headers['content-range']).toBe(`bytes 500-999/${layer.bytes.length}`);
    expect(part.body.equals(layer.bytes.subarray(500, 1000))).toBe(true);
    const beyond = await mirror.send(blobPath(image.blobs[0]!.digest), {
      headers: { range: 'bytes=100000-' },
    });
    expect(beyond.status).toBe(416);
  });

  test('of no bytes is served and kept', async () => {
    const digest = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    upstream.addBlob('library/hello', digest, Buffer.alloc(0));
    const answer = await mirror.send(blobPath(digest));
    expect([answer.status, answer.body.length]).toEqual([200, 0]);
    await until(() => isLinked(mirror, digest));
  });

  test('is read by everyone although the store cannot take it', async () => {
    await restartWith({ blobs: withoutPut });
    const manifest = await mirror.send(manifestPath('1'));
    expect(manifest.body.equals(image.manifest.bytes)).toBe(true);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => mirror.send(blobPath(layer.digest))),
    );
    for (const { body } of answers) expect(body.equals(layer.bytes)).toBe(true);
    await until(() => mirror.edge.lines.some(({ level }) => level === 'warn'));
  });

  test('is joined by another repository whose upstream has it too', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.blobPauses = [{ atByte: MIB / 2, until: promise }];
    upstream.addBlob('library/other', layer.digest, layer.bytes);
    const first = mirror.send(blobPath(layer.digest));
    await until(() => upstream.count('GET', `/v2/library/hello/blobs/${layer.digest}`) === 1);
    const stranger = await mirror.send(blobPath(layer.digest, 'stranger'));
    expect(stranger.status).toBe(404);
    const second = await openAnswer(mirror.port, blobPath(layer.digest, 'other'));
    resolve(undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of second as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals((await first).body)).toBe(true);
    await until(() => isLinked(mirror, layer.digest, 'mirror/library/other'));
    expect(await isLinked(mirror, layer.digest)).toBe(true);
    expect(upstream.count('GET', `/v2/library/other/blobs/${layer.digest}`)).toBe(0);
    await until(() => mirror.proxied.length === 2);
    expect(mirror.proxied.map(({ outcome }) => outcome).sort()).toEqual(['join', 'miss']);
  });

  test('that is here through another repository is linked when its own upstream has it', async () => {
    await pullAll();
    upstream.addBlob('library/other', layer.digest, layer.bytes);
    upstream.forget();
    const answer = await mirror.send(blobPath(layer.digest, 'other'));
    expect(answer.body.equals(layer.bytes)).toBe(true);
    expect(upstream.seen.map(({ method }) => method)).toEqual(['HEAD']);
    expect(await isLinked(mirror, layer.digest, 'mirror/library/other')).toBe(true);
  });

  test('that is here through another repository is not readable where the upstream lacks it', async () => {
    await pullAll();
    const answer = await mirror.send(blobPath(layer.digest, 'stranger'));
    expect([answer.status, errorCode(answer)]).toEqual([404, 'BLOB_UNKNOWN']);
    expect(await isLinked(mirror, layer.digest, 'mirror/library/stranger')).toBe(false);
  });

  test('follows a redirect to another host without showing it the token', async () => {
    const storage = await startFakeUpstream();
    try {
      storage.addBlob('library/hello', layer.digest, layer.bytes);
      upstream.behaviour.wantsToken = true;
      upstream.behaviour.redirectBlobsTo = storage.url;
      const head = await mirror.send(blobPath(layer.digest), { method: 'HEAD' });
      expect(head.headers['content-length']).toBe(String(layer.bytes.length));
      const answer = await mirror.send(blobPath(layer.digest));
      expect(answer.body.equals(layer.bytes)).toBe(true);
      expect(upstream.seen.some(({ authorization }) => authorization !== undefined)).toBe(true);
      expect(storage.seen.length).toBeGreaterThan(0);
      expect(storage.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
    } finally {
      await storage.stop();
    }
  });

  test('that is redirected in a circle is 503', async () => {
    upstream.behaviour.redirectBlobsTo = upstream.url;
    const answer = await mirror.send(blobPath(layer.digest));
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '5']);
    expect(upstream.seen).toHaveLength(6);
  });
});

describe('an upstream that talks nonsense', () => {
  test('a web page for everything is 503, and nothing of it is kept', async () => {
    upstream.behaviour.isGallery = true;
    for (const path of [manifestPath('1'), blobPath(layer.digest)]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await mirror.send(path, { method });
        expect([answer.status, answer.headers['docker-content-digest']]).toEqual([503, undefined]);
      }
    }
    expect(await mirror.files()).toEqual([]);
    expect(await mirror.role.degraded()).toHaveLength(1);
  });

  test('a wrong digest header misleads nobody', async () => {
    upstream.behaviour.digestHeader = `sha256:${'0'.repeat(64)}`;
    const answer = await mirror.send(manifestPath('1'));
    expect(answer.headers['docker-content-digest']).toBe(image.manifest.digest);
    tagLife();
    const again = await mirror.send(manifestPath('1'));
    expect(again.headers['docker-content-digest']).toBe(image.manifest.digest);
    expect(again.headers.warning).toBeUndefined();
  });

  test('a manifest with a wrong bit is refused by digest', async () => {
    upstream.behaviour.flipsBit = true;
    const answer = await mirror.send(manifestPath(image.manifest.digest));
    expect([answer.status, errorCode(answer)]).toEqual([503, 'UNAVAILABLE']);
    expect(await mirror.files()).toEqual([]);
  });
});

describe('a held tag', () => {
  beforeEach(async () => {
    await pullAll();
    upstream.forget();
    tagLife();
  });

  test('is confirmed by one HEAD for all that ask at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => mirror.send(manifestPath('1'))),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(upstream.seen.map(({ method }) => method)).toEqual(['HEAD']);
  });

  test('moves with the upstream, and what it named stays readable by digest', async () => {
    const next = makeImage();
    upstream.addImage('library/hello', '1', next);
    const answer = await mirror.send(manifestPath('1'));
    expect(answer.headers['docker-content-digest']).toBe(next.manifest.digest);
    expect((await mirror.send(manifestPath(image.manifest.digest))).status).toBe(200);
    expect(upstream.seen.map(({ method }) => method)).toEqual(['HEAD', 'GET']);
    await upstream.goDown();
    expect((await mirror.send(manifestPath('1'))).body.equals(next.manifest.bytes)).toBe(true);
  });

  test('goes when the upstream says it is gone; by digest it stays', async () => {
    upstream.removeTag('library/hello', '1');
    expect((await mirror.send(manifestPath('1'))).status).toBe(404);
    expect((await mirror.send(manifestPath(image.manifest.digest))).status).toBe(200);
  });

  test.each([
    ['limits', { code: 429, headers: { 'retry-after': '60' } }],
    ['fails', { code: 500 }],
    ['denies', { code: 403, body: '{"errors":[{"code":"DENIED"}]}' }],
    ['is a gallery', { code: 404, headers: { 'content-type': 'text/html' }, body: '<h1>' }],
    [
      'is gone behind its proxy',
      { code: 404, headers: { 'content-type': 'text/plain' }, body: '404 page not found' },
    ],
    [
      'has no route at its gateway',
      {
        code: 404,
        headers: { 'content-type': 'application/json' },
        body: '{"message":"no route"}',
      },
    ],
  ])('is served with a warning when the upstream %s', async (_, status) => {
    upstream.behaviour.status = status;
    const answer = await mirror.send(manifestPath('1'));
    expect(answer.status).toBe(200);
    expect(answer.headers.warning).toContain('cache');
    const asked = upstream.seen.length;
    // For a while nobody else has to wait for the same answer.
    expect((await mirror.send(manifestPath('1'))).status).toBe(200);
    expect(upstream.seen).toHaveLength(asked);
    upstream.behaviour.status = undefined;
    mirror.clock.advance(61_000);
    expect((await mirror.send(manifestPath('1'))).headers.warning).toBeUndefined();
  });

  test('is served, blobs and all, when the upstream is down, also after a restart', async () => {
    await upstream.goDown();
    await pullAll();
    const { store } = mirror;
    const second = await startTestMirror(upstream.url, { store });
    try {
      const answer = await second.send(manifestPath('1'));
      expect([answer.status, answer.headers.warning !== undefined]).toEqual([200, true]);
      expect((await second.send(blobPath(layer.digest))).body.equals(layer.bytes)).toBe(true);
      expect(await second.role.degraded()).toHaveLength(1);
    } finally {
      await second.stop();
    }
  });

  test('is served after a short wait when the upstream hangs', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.hold = promise;
    const answer = await mirror.send(manifestPath('1'));
    expect([answer.status, answer.headers.warning !== undefined]).toEqual([200, true]);
    resolve(undefined);
  });
});

describe('what is not held', () => {
  test('is 503 with Retry-After while the upstream cannot be asked, never 404 and never 429', async () => {
    upstream.behaviour.status = { code: 429, headers: { 'retry-after': '17' } };
    for (const path of [manifestPath('1'), blobPath(layer.digest)]) {
      const limited = await mirror.send(path);
      expect([limited.status, limited.headers['retry-after'], errorCode(limited)]).toEqual([
        503,
        '17',
        'UNAVAILABLE',
      ]);
    }
    expect(upstream.seen).toHaveLength(1);
    mirror.clock.advance(17_000);
    await upstream.goDown();
    for (const path of [manifestPath('1'), blobPath(layer.digest), '/v2/hello/tags/list']) {
      const down = await mirror.send(path);
      expect([down.status, down.headers['retry-after']]).toEqual([503, '5']);
    }
    await upstream.comeBack();
    upstream.behaviour.status = undefined;
    await pullAll();
    expect(await mirror.role.degraded()).toEqual([]);
  });
});

describe('tokens', () => {
  beforeEach(() => {
    upstream.behaviour.wantsToken = true;
  });

  const tokensAsked = (): number => upstream.count('GET', '/token');

  test('are fetched once for a repository and used for all of it', async () => {
    await pullAll();
    expect(tokensAsked()).toBe(1);
    expect(upstream.seen.find(({ path }) => path === '/token')?.query.get('scope')).toBe(
      'repository:library/hello:pull',
    );
  });

  test('are renewed before they end', async () => {
    await pullAll();
    mirror.clock.advance(230_000);
    await mirror.send(manifestPath('2'));
    expect(tokensAsked()).toBe(1);
    mirror.clock.advance(11_000);
    await mirror.send(manifestPath('2'));
    expect(tokensAsked()).toBe(2);
  });

  test('of a failing token service make 503, and held content is served all the same', async () => {
    upstream.behaviour.tokenStatus = 500;
    expect((await mirror.send(manifestPath('1'))).status).toBe(503);
    upstream.behaviour.tokenStatus = undefined;
    await pullAll();
    upstream.behaviour.tokenStatus = 500;
    mirror.clock.advance(400_000);
    const answer = await mirror.send(manifestPath('1'));
    expect([answer.status, answer.headers.warning !== undefined]).toEqual([200, true]);
  });
});

describe('private repositories', () => {
  const account = { username: 'shop', password: 's3cret' };

  beforeEach(() => {
    upstream.behaviour.wantsToken = true;
    upstream.behaviour.account = account;
    upstream.behaviour.privateRepositories.add('team/secret');
    upstream.addImage('team/secret', '1', image);
  });

  test.each([
    ['without an account', {}],
    ['with an account', account],
  ])('are 403 DENIED %s, and leave no trace in the store', async (_, options) => {
    await restartWith(options);
    for (const path of [
      manifestPath('1', 'team/secret'),
      manifestPath(image.manifest.digest, 'team/secret'),
      blobPath(layer.digest, 'team/secret'),
    ]) {
      const answer = await mirror.send(path);
      expect([answer.status, errorCode(answer)]).toEqual([403, 'DENIED']);
      expect((await mirror.send(path, { method: 'HEAD' })).status).toBe(403);
    }
    expect(await mirror.files()).toEqual([]);
  });

  test('do not give away bytes that are here through a public one', async () => {
    await pullAll();
    // What is written last of a tag.
    const last = 'docker/registry/v2/repositories/mirror/library/hello/_twinport/confirmed/1';
    await until(async () => (await mirror.files()).includes(last));
    const before = await mirror.files();
    expect((await mirror.send(blobPath(layer.digest, 'team/secret'))).status).toBe(403);
    expect(await mirror.files()).toEqual(before);
  });

  test('public ones are pulled with the account, after they were proved public without it', async () => {
    await restartWith(account);
    await pullAll();
    const content = upstream.seen.filter(
      ({ path, authorization }) => path !== '/token' && authorization,
    );
    expect(
      content.map(({ method, authorization }) => [method, authorization?.split('/')[0]]),
    ).toEqual([
      ['HEAD', 'Bearer anybody'],
      ['GET', 'Bearer account'],
      ['GET', 'Bearer account'],
      ['GET', 'Bearer account'],
    ]);
  });

  test('credentials go to no realm elsewhere', async () => {
    const elsewhere = await startFakeUpstream();
    try {
      await restartWith(account);
      upstream.behaviour.realm = `${elsewhere.url}/token`;
      const answer = await mirror.send(manifestPath('1'));
      expect(answer.status).toBe(503);
      expect(answer.body.toString()).toContain(elsewhere.url);
      expect(elsewhere.seen.map(({ path }) => path)).toEqual(['/token']);
      expect(elsewhere.seen.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    } finally {
      await elsewhere.stop();
    }
  });

  test('one that turned private is served until it is denied twice, a minute apart, a day later', async () => {
    await pullAll();
    upstream.behaviour.privateRepositories.add('library/hello');
    const byDigest = manifestPath(image.manifest.digest);
    const denials = (): number =>
      upstream.seen.filter(({ path }) => path.endsWith(image.manifest.digest)).length;
    expect((await mirror.send(byDigest)).status).toBe(200);
    mirror.clock.advance(25 * 60 * 60 * 1000);
    expect((await mirror.send(byDigest)).status).toBe(200);
    await until(() => denials() >= 2);
    expect((await mirror.send(byDigest)).status).toBe(200);
    mirror.clock.advance(61_000);
    expect((await mirror.send(byDigest)).status).toBe(200);
    // The first denial may have been noted after the minute had begun.
    await until(async () => {
      mirror.clock.advance(61_000);
      return (await mirror.send(byDigest)).status === 403;
    });
    expect((await mirror.send(blobPath(layer.digest))).status).toBe(403);
    expect((await mirror.send(manifestPath('1'))).status).toBe(403);
    upstream.behaviour.privateRepositories.clear();
    await pullAll();
  });

  test("a proxy's refusal in between proves nothing", async () => {
    await pullAll();
    upstream.behaviour.status = {
      code: 403,
      headers: { 'content-type': 'text/html' },
      body: '<h1>',
    };
    const byDigest = manifestPath(image.manifest.digest);
    for (let day = 0; day < 4; day += 1) {
      mirror.clock.advance(25 * 60 * 60 * 1000);
      upstream.forget();
      expect((await mirror.send(byDigest)).status).toBe(200);
      await until(() => upstream.seen.length > 0);
    }
    expect((await mirror.send(byDigest)).status).toBe(200);
  });
});

describe('the store', () => {
  test('serves what was pushed to it, and never asks an upstream for it', async () => {
    const signal = new AbortController().signal;
    const { index, blobs } = mirror.store;
    const name = parseRepositoryName('team/app')!;
    const digest = parseDigest(layer.digest)!;
    await index.projects.create(
      { schemaVersion: 1, name: 'team', createdAt: new Date().toISOString() },
      signal,
    );
    await blobs.put(digest, layer.bytes, layer.bytes.length, signal);
    await index.members.add(name, 'blob', digest, signal);
    expect((await mirror.send(blobPath(layer.digest, 'team/app'))).body.equals(layer.bytes)).toBe(
      true,
    );
    expect((await mirror.send(blobPath(layer.digest, 'local/team/app'))).status).toBe(200);
    expect((await mirror.send(manifestPath('none', 'team/app'))).status).toBe(404);
    expect(upstream.seen).toEqual([]);
  });

  test('keeps pushed content under an upstream name as it is', async () => {
    const signal = new AbortController().signal;
    const name = parseRepositoryName('mirror/library/hello')!;
    const other = makeImage().blobs[0]!;
    const digest = parseDigest(other.digest)!;
    await mirror.store.blobs.put(digest, other.bytes, undefined, signal);
    await mirror.store.index.members.add(name, 'blob', digest, signal);
    const before = await mirror.files();
    const answer = await mirror.send(blobPath(layer.digest));
    expect(answer.body.equals(layer.bytes)).toBe(true);
    expect((await mirror.send(manifestPath('1'))).status).toBe(200);
    expect((await mirror.send(blobPath(other.digest))).status).toBe(404);
    expect(await mirror.files()).toEqual(before);
  });

  test('does not serve what came from another upstream URL before it is proved again', async () => {
    await pullAll();
    const { store } = mirror;
    const elsewhere = await startFakeUpstream();
    await elsewhere.goDown();
    // The sign of life of the first mirror would refuse another URL.
    await store.records.deleteTree('twinport/v1/mirrors', new AbortController().signal);
    const second = await startTestMirror(elsewhere.url, { store });
    try {
      expect((await second.send(manifestPath(image.manifest.digest))).status).toBe(503);
      await elsewhere.comeBack();
      elsewhere.addImage('library/hello', '1', image);
      expect((await second.send(manifestPath('1'))).status).toBe(200);
      expect((await second.send(blobPath(layer.digest))).body.equals(layer.bytes)).toBe(true);
      expect(elsewhere.count('GET', `/v2/library/hello/blobs/${layer.digest}`)).toBe(0);
    } finally {
      await second.stop();
      await elsewhere.stop();
    }
  });

  test('a mirror starts and serves without its upstream', async () => {
    await upstream.goDown();
    await restartWith({});
    expect((await mirror.send('/v2/')).status).toBe(200);
    expect(await mirror.role.degraded()).toEqual([]);
  });
});

describe('a push to the mirror', () => {
  test.each([
    ['POST', '/v2/hello/blobs/uploads/'],
    ['PUT', '/v2/hello/manifests/1'],
    ['DELETE', '/v2/hello/manifests/1'],
    ['DELETE', `/v2/hello/blobs/sha256:${'0'.repeat(64)}`],
    ['PATCH', '/v2/hello/blobs/uploads/2b8a1b1c-7a3e-4d6e-9d0c-3f6f0b1f2a3b'],
  ])('is refused: %s %s', async (method, path) => {
    const answer = await mirror.send(
      path,
      method === 'DELETE' ? { method } : { method, body: 'x' },
    );
    expect([answer.status, errorCode(answer), answer.headers.allow]).toEqual([
      405,
      'UNSUPPORTED',
      'GET, HEAD',
    ]);
    expect(answer.body.toString()).toContain('http://push.example:5000');
    expect(upstream.seen).toEqual([]);
  });

  test('is refused before its body has come', async () => {
    const socket = connect({ host: '127.0.0.1', port: mirror.port });
    socket.write(
      'POST /v2/hello/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n',
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 405 /);
    socket.destroy();
  });
});
