import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { until } from '../../shared/http/testing/recorded-edge.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import type { TestAnswer } from '../../shared/http/testing/http-client.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import {
  type FixtureImage,
  type FixtureManifest,
  makeImage,
  MEDIA_TYPES,
} from '../../test/support/oci-fixtures.ts';
import { startTestMirror, TAG_TTL_SECONDS, type TestMirror } from './testing/start-test-mirror.ts';
import { untilStored } from './testing/until-stored.ts';

interface Index {
  readonly mediaType: string;
  readonly manifests: { digest: string; artifactType?: string }[];
}

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

const tagLife = (): void => mirror.clock.advance(TAG_TTL_SECONDS * 1000 + 1000);
const addReferrer = (artifactType: string): FixtureManifest => {
  const referrer = makeImage({ subject: image.manifest, artifactType });
  upstream.addImage('library/hello', referrer.manifest.digest, referrer);
  return referrer.manifest;
};
const referrers = (query = ''): Promise<TestAnswer> =>
  mirror.send(`/v2/hello/referrers/${image.manifest.digest}${query}`);
const bodyOf = ({ body }: TestAnswer): Index => JSON.parse(body.toString()) as Index;
const digestsOf = (answer: TestAnswer): string[] =>
  bodyOf(answer).manifests.map(({ digest }) => digest);
const sorted = (manifests: readonly FixtureManifest[]): string[] =>
  manifests.map(({ digest }) => digest).sort();
const asked = (path: string): number => upstream.seen.filter((one) => one.path === path).length;

describe('referrers of an upstream', () => {
  test('are listed from all its pages, filtered, cut into pages, and asked for once while they are fresh', async () => {
    const signature = addReferrer('application/vnd.example.signature');
    const reports = [1, 2, 3].map(() => addReferrer('application/vnd.example.report'));
    upstream.behaviour.referrersPerPage = 2;
    const all = await referrers();
    expect([all.status, all.headers['content-type']]).toEqual([200, MEDIA_TYPES.oci.index]);
    expect(digestsOf(all)).toEqual(sorted([signature, ...reports]));

    const filtered = await referrers('?artifactType=application/vnd.example.signature');
    expect(digestsOf(filtered)).toEqual([signature.digest]);
    expect(filtered.headers['oci-filters-applied']).toBe('artifactType');

    const first = await referrers('?n=3');
    const [, next = ''] = /<([^>]+)>; rel="next"/.exec(String(first.headers['link'])) ?? [];
    const second = await mirror.send(next);
    expect([...digestsOf(first), ...digestsOf(second)]).toEqual(sorted([signature, ...reports]));
    expect(second.headers['link']).toBeUndefined();

    const path = `/v2/library/hello/referrers/${image.manifest.digest}`;
    expect(asked(path)).toBe(2);
    const late = addReferrer('application/vnd.example.report');
    expect(digestsOf(await referrers())).not.toContain(late.digest);
    tagLife();
    expect(digestsOf(await referrers())).toContain(late.digest);
  });

  test('are pulled like anything else, and those that were are listed while the upstream is down', async () => {
    const pulled = addReferrer('application/vnd.example.signature');
    addReferrer('application/vnd.example.other');
    expect((await mirror.send('/v2/hello/manifests/1')).status).toBe(200);
    expect(digestsOf(await referrers())).toHaveLength(2);
    expect((await mirror.send(`/v2/hello/manifests/${pulled.digest}`)).body).toEqual(pulled.bytes);
    await untilStored(mirror, pulled.digest);
    await upstream.goDown();
    tagLife();
    const held = await referrers();
    expect(digestsOf(held)).toEqual([pulled.digest]);
    expect(held.headers.warning).toContain('only what is cached');
    await upstream.comeBack();
    tagLife();
    expect(digestsOf(await referrers())).toHaveLength(2);
  });

  test('of an upstream without the API come from the fallback tag', async () => {
    upstream.behaviour.referrersPerPage = undefined;
    expect(digestsOf(await referrers())).toEqual([]);
    tagLife();
    const referrer = makeImage({ subject: image.manifest }).manifest;
    const descriptor = {
      mediaType: referrer.mediaType,
      digest: referrer.digest,
      size: referrer.bytes.length,
      artifactType: 'application/vnd.example.signature',
    };
    const mediaType = MEDIA_TYPES.oci.index;
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType, manifests: [descriptor] }),
    );
    const tag = image.manifest.digest.replace(':', '-');
    const index = { bytes, mediaType, digest: 'sha256:0' };
    upstream.addImage('library/hello', tag, { manifest: index, blobs: [] });
    expect(bodyOf(await referrers()).manifests).toEqual([descriptor]);
  });

  test('that make no sense are not passed on, and neither is a failure for nothing held', async () => {
    upstream.behaviour.isGallery = true;
    expect((await referrers()).status).toBe(200);
    upstream.behaviour.isGallery = false;
    upstream.behaviour.status = { code: 200, body: '{"manifests":[{"digest":"sha256:1"}]}' };
    tagLife();
    expect((await referrers()).status).toBe(503);
    upstream.behaviour.status = { code: 500 };
    tagLife();
    const answer = await referrers();
    expect([answer.status, answer.headers['retry-after'] !== undefined]).toEqual([503, true]);
  });

  test('of a repository that a login hides are refused, and their existence is not told', async () => {
    addReferrer('application/vnd.example.signature');
    upstream.behaviour.wantsToken = true;
    upstream.behaviour.privateRepositories.add('library/hello');
    const answer = await referrers();
    expect(answer.status).toBe(403);
    expect(answer.body.toString()).not.toContain('application/vnd.example.signature');
  });
});

test('a list of tags is not served any more when its repository turned private, however fresh it is', async () => {
  const list = async (): Promise<number> => (await mirror.send('/v2/hello/tags/list')).status;
  expect((await mirror.send('/v2/hello/manifests/1')).status).toBe(200);
  expect(await list()).toBe(200);
  const { origins } = mirror.store.index;
  const name = 'mirror/library/hello' as RepositoryName;
  const { signal } = new AbortController();
  await untilStored(mirror, '1');
  const marker = await origins.get(name, signal);
  await origins.put(name, { ...marker!, verdict: 'private' }, signal);
  upstream.behaviour.wantsToken = true;
  upstream.behaviour.privateRepositories.add('library/hello');
  // Well within the life of the list.
  mirror.clock.advance(15_000);
  expect(await list()).toBe(403);
});

test('tags of an upstream are cut into pages by n and last, from one list', async () => {
  for (const tag of ['b', 'a', 'C', '10', '9']) upstream.addImage('library/hello', tag, image);
  const page = async (query: string): Promise<[string[], string]> => {
    const answer = await mirror.send(`/v2/hello/tags/list${query}`);
    const { tags } = JSON.parse(answer.body.toString()) as { tags: string[] };
    return [tags, String(answer.headers['link'])];
  };
  expect(await page('')).toEqual([['1', '10', '9', 'C', 'a', 'b'], 'undefined']);
  expect(await page('?n=4')).toEqual([
    ['1', '10', '9', 'C'],
    '</v2/hello/tags/list?n=4&last=C>; rel="next"',
  ]);
  expect(await page('?n=4&last=C')).toEqual([['a', 'b'], 'undefined']);
  expect(await page('?n=2&last=9&ns=docker.io')).toEqual([
    ['C', 'a'],
    '</v2/hello/tags/list?ns=docker.io&n=2&last=a>; rel="next"',
  ]);
  expect(asked('/v2/library/hello/tags/list')).toBe(1);
});

describe('a blob that nobody pulled yet', () => {
  const layerOf = (): { digest: string; bytes: Buffer } => image.blobs.at(-1)!;
  const path = (): string => `/v2/hello/blobs/${layerOf().digest}`;
  const gets = (): number => upstream.count('GET', `/v2/library/hello/blobs/${layerOf().digest}`);

  beforeEach(() => {
    image = makeImage({ layerBytes: [300_000] });
    upstream.addImage('library/hello', '1', image);
  });

  test('is told by HEAD without being downloaded', async () => {
    const answer = await mirror.send(path(), { method: 'HEAD' });
    expect([answer.status, Number(answer.headers['content-length'])]).toEqual([
      200,
      layerOf().bytes.length,
    ]);
    expect(answer.headers['x-cache']).toBe('MISS; upstream=mirror');
    expect(gets()).toBe(0);
  });

  test.each([
    ['bytes=0-99', 0, 100],
    ['bytes=1000-1999', 1000, 1000],
    ['bytes=-50', -50, 50],
    ['bytes=299000-', 299_000, undefined],
  ])('is served by range (%s) while it is downloaded whole, once', async (range, from, length) => {
    const { bytes } = layerOf();
    const offset = from < 0 ? bytes.length + from : from;
    const end = length === undefined ? bytes.length : offset + length;
    const answer = await mirror.send(path(), { headers: { range } });
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${offset}-${end - 1}/${bytes.length}`);
    expect(answer.body.equals(bytes.subarray(offset, end))).toBe(true);
    expect(answer.headers['x-cache']).toMatch(/^MISS; upstream=mirror/);
    const whole = await mirror.send(path());
    expect(whole.body.equals(bytes)).toBe(true);
    expect(whole.headers['x-cache']).toMatch(/^(?:HIT|JOINED); upstream=mirror/);
    expect(gets()).toBe(1);
  });

  test('answers a range beyond its end with 416', async () => {
    const answer = await mirror.send(path(), { headers: { range: 'bytes=900000-' } });
    expect([answer.status, answer.headers['content-range']]).toEqual([
      416,
      `bytes */${layerOf().bytes.length}`,
    ]);
  });
});

describe('X-Cache', () => {
  const get = (reference: string, method = 'GET'): Promise<TestAnswer> =>
    mirror.send(`/v2/hello/manifests/${reference}`, { method });

  test('tells a miss, a hit with its age, and a stale answer', async () => {
    expect((await get('1')).headers['x-cache']).toMatch(/^MISS; upstream=mirror/);
    expect((await get('1')).headers['x-cache']).toBe('HIT; upstream=mirror; age=0');
    expect((await get('1', 'HEAD')).headers['x-cache']).toBe('HIT; upstream=mirror; age=0');
    mirror.clock.advance(30_000);
    expect((await get('1')).headers['x-cache']).toBe('HIT; upstream=mirror; age=30');
    expect((await get(image.manifest.digest)).headers['x-cache']).toBe('HIT; upstream=mirror');
    mirror.clock.advance(600_000);
    await upstream.goDown();
    const stale = await get('1');
    expect(stale.headers['x-cache']).toBe('STALE; upstream=mirror; age=630');
    expect(stale.headers.warning).toMatch(/^299 /);
  });

  test('tells those that joined', async () => {
    const pullTogether = async (tag: string): Promise<string[]> => {
      upstream.addImage('library/hello', tag, makeImage());
      upstream.forget();
      const gate = Promise.withResolvers<undefined>();
      upstream.behaviour.hold = gate.promise;
      const clients = [get(tag), get(tag), get(tag)];
      await until(() => upstream.seen.length > 0);
      gate.resolve(undefined);
      const told = (await Promise.all(clients)).map(({ headers }) => String(headers['x-cache']));
      return told.map((value) => value.split(';')[0] ?? '').sort();
    };
    let round = 0;
    await until(async () => {
      const told = await pullTogether(`together-${(round += 1)}`);
      expect(told.filter((value) => value === 'MISS')).toHaveLength(1);
      // On a busy machine one may come when the answer is there already.
      expect(told.filter((value) => !/^(?:JOINED|HIT|MISS)$/.test(value))).toEqual([]);
      return told.filter((value) => value === 'JOINED').length === 2;
    });
  });

  test('is not there for what was pushed here', async () => {
    const { store } = mirror;
    const local = { name: 'team', schemaVersion: 1 as const, createdAt: new Date().toISOString() };
    await store.index.projects.create(local, new AbortController().signal);
    const answer = await mirror.send('/v2/team/app/manifests/1');
    expect([answer.status, answer.headers['x-cache']]).toEqual([404, undefined]);
  });
});
