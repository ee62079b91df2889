import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { parseDigest } from '../../shared/oci/digest.ts';
import { parseRepositoryName } from '../../shared/oci/reference.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, type TestMirror } from './testing/start-test-mirror.ts';
import { untilStored } from './testing/until-stored.ts';

const ACCOUNT = { username: 'shop', password: 's3cret' };
const DAY_AND_MORE_MS = 25 * 60 * 60 * 1000;

let upstream: FakeUpstream;
let mirror: TestMirror;
let image: FixtureImage;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  upstream.behaviour.wantsToken = true;
  upstream.behaviour.account = ACCOUNT;
  image = makeImage({ layerBytes: [1000] });
  upstream.addImage('library/hello', '1', image);
  mirror = await startTestMirror(upstream.url, ACCOUNT);
});
afterEach(async () => {
  await mirror.stop();
  await upstream.stop();
});

const pull = async (reference: string): Promise<number> =>
  (await mirror.send(`/v2/hello/manifests/${reference}`)).status;

describe('a verdict', () => {
  test('that lapsed lets the account fetch nothing new before anybody could', async () => {
    expect(await pull('1')).toBe(200);
    upstream.behaviour.privateRepositories.add('library/hello');
    upstream.addImage('library/hello', 'secret', makeImage({ layerBytes: [10] }));
    mirror.clock.advance(DAY_AND_MORE_MS);
    upstream.forget();
    expect(await pull('secret')).toBe(403);
    expect(upstream.seen.map(({ authorization }) => authorization)).not.toContain('Bearer account');
    expect(await pull(image.manifest.digest)).toBe(200);
  });

  test('on one reference says nothing of another that is asked for at the same time', async () => {
    expect(await Promise.all([pull('nothing'), pull('1'), pull('nothing')])).toEqual([
      404, 200, 404,
    ]);
  });

  test('of a public repository holds while the account is refused, which readiness tells', async () => {
    expect(await pull('1')).toBe(200);
    const { store } = mirror;
    const refused = await startTestMirror(upstream.url, { ...ACCOUNT, password: 'old', store });
    try {
      upstream.addImage('library/hello', '2', makeImage({ layerBytes: [10] }));
      expect((await refused.send('/v2/hello/manifests/2')).status).toBe(200);
      expect((await refused.role.degraded()).join()).toContain('the configured account is refused');
    } finally {
      await refused.stop();
    }
  });

  test('at another upstream releases nothing that the one before had delivered', async () => {
    const other = makeImage({ layerBytes: [10] });
    upstream.addImage('library/hello', '2', other);
    expect([await pull('1'), await pull('2')]).toEqual([200, 200]);
    const { store } = mirror;
    const elsewhere = await startFakeUpstream();
    elsewhere.addImage('library/hello', '1', image);
    await store.records.deleteTree('twinport/v1/mirrors', new AbortController().signal);
    const second = await startTestMirror(elsewhere.url, { store });
    try {
      expect((await second.send('/v2/hello/manifests/1')).status).toBe(200);
      for (const reference of ['2', other.manifest.digest]) {
        expect((await second.send(`/v2/hello/manifests/${reference}`)).status).toBe(404);
      }
      await elsewhere.goDown();
      // Its word that there is none is kept for ten seconds.
      second.clock.advance(10_001);
      expect((await second.send('/v2/hello/manifests/2')).status).toBe(503);
      expect((await second.send('/v2/hello/manifests/1')).status).toBe(200);
    } finally {
      await second.stop();
      await elsewhere.stop();
    }
  });
});

const neverEnds = new AbortController().signal;
const byDigest = (name: string): string => `/v2/${name}/manifests/${image.manifest.digest}`;

/** Another mirror over the same store, with other settings of the upstream. */
async function over(settings: Partial<UpstreamConfig>): Promise<TestMirror> {
  const { store } = mirror;
  return startTestMirror(upstream.url, { ...ACCOUNT, store, upstream: settings });
}

async function verdictOn(repository: string): Promise<string | undefined> {
  const name = parseRepositoryName(`mirror/${repository}`)!;
  return (await mirror.store.index.origins.get(name, neverEnds))?.verdict;
}

async function pullImage(from: TestMirror, name: string): Promise<number[]> {
  const paths = [
    `/v2/${name}/manifests/1`,
    byDigest(name),
    ...image.blobs.map(({ digest }) => `/v2/${name}/blobs/${digest}`),
  ];
  const statuses: number[] = [];
  for (const path of paths) statuses.push((await from.send(path)).status);
  return statuses;
}

/** The last that a pull writes. */
async function untilKept(repository: string): Promise<void> {
  const name = parseRepositoryName(`mirror/${repository}`)!;
  const { members } = mirror.store.index;
  for (const { digest } of image.blobs) {
    await until(() => members.has(name, 'blob', parseDigest(digest)!, neverEnds));
  }
  await until(async () =>
    (await mirror.files()).some((file) => file.endsWith(`${repository}/_twinport/confirmed/1`)),
  );
}

describe('a private repository', () => {
  beforeEach(() => {
    upstream.addImage('team/secret', '1', image);
    upstream.behaviour.privateRepositories.add('team/secret');
  });

  test('changes no byte of the store, however it is asked for', async () => {
    await pullImage(mirror, 'hello');
    await untilKept('library/hello');
    const before = await mirror.files();
    const paths = [
      '/v2/team/secret/tags/list',
      `/v2/team/secret/referrers/${image.manifest.digest}`,
      '/v2/mirror/team/secret/manifests/1',
      '/v2/team/secret/manifests/1?ns=docker.io',
    ];
    for (const status of [{ code: 503 }, { code: 429 }, undefined]) {
      upstream.behaviour.status = status;
      await pullImage(mirror, 'team/secret');
      for (const path of paths) {
        await mirror.send(path);
        await mirror.send(path, { method: 'HEAD' });
      }
      mirror.clock.advance(DAY_AND_MORE_MS);
    }
    expect(await pullImage(mirror, 'team/secret')).toEqual([403, 403, 403, 403]);
    expect(await mirror.files()).toEqual(before);
    expect(await verdictOn('team/secret')).toBeUndefined();
  });

  test('of a shared upstream is pulled with its account, kept, and served when that is used up or gone', async () => {
    const shared = await over({ private: 'shared' });
    try {
      upstream.forget();
      expect(await pullImage(shared, 'team/secret')).toEqual([200, 200, 200, 200]);
      const asked = upstream.seen.filter(
        ({ authorization, path }) => path !== '/token' && authorization,
      );
      // Nothing is asked twice: what the account was given is the proof.
      expect(asked.map(({ method }) => method)).toEqual(['GET', 'GET', 'GET']);
      expect(asked.every(({ authorization }) => authorization?.startsWith('Bearer account/'))).toBe(
        true,
      );
      await untilStored(shared, '1', 'mirror/team/secret');
      expect(await verdictOn('team/secret')).toBe('shared');
      await upstream.goDown();
      expect(await pullImage(shared, 'team/secret')).toEqual([200, 200, 200, 200]);
    } finally {
      await shared.stop();
    }
  });

  test.each([false, true])(
    'of an upstream that passes them through is given and never kept (hidden by the registry: %s)',
    async (hidesPrivate) => {
      upstream.behaviour.hidesPrivate = hidesPrivate;
      const before = await mirror.files();
      const passing = await over({ private: 'pass-through', completeBytes: 1_000_000 });
      try {
        for (let times = 1; times <= 2; times += 1) {
          expect(await pullImage(passing, 'team/secret')).toEqual([200, 200, 200, 200]);
        }
        const [blob] = image.blobs;
        const path = `/v2/team/secret/blobs/${blob!.digest}`;
        const part = await passing.send(path, { headers: { range: 'bytes=1-2' } });
        expect([part.status, part.body]).toEqual([206, blob!.bytes.subarray(1, 3)]);
        expect((await passing.send(path, { method: 'HEAD' })).status).toBe(200);
        expect((await passing.send('/v2/team/secret/tags/list')).body.toString()).toContain('"1"');
        expect((await passing.send('/v2/team/secret/manifests/none')).status).toBe(404);
        expect(passing.fills).toEqual([]);
        expect(await passing.files()).toEqual(before);
        expect(await verdictOn('team/secret')).toBeUndefined();
        // What everybody may pull is kept as ever.
        expect(await pullImage(passing, 'hello')).toEqual([200, 200, 200, 200]);
        await untilKept('library/hello');
        await upstream.goDown();
        expect(await pullImage(passing, 'hello')).toEqual([200, 200, 200, 200]);
        expect(await pullImage(passing, 'team/secret')).toEqual([503, 503, 503, 503]);
      } finally {
        await passing.stop();
      }
    },
  );

  test('of an upstream that is shared no more is served to nobody, and kept', async () => {
    const shared = await over({ private: 'shared' });
    expect(await pullImage(shared, 'team/secret')).toEqual([200, 200, 200, 200]);
    await shared.stop();
    const before = await mirror.files();
    const refusing = await over({ private: 'refuse' });
    try {
      expect(await pullImage(refusing, 'team/secret')).toEqual([403, 403, 403, 403]);
      await upstream.goDown();
      refusing.clock.advance(2 * 60_000);
      expect(await pullImage(refusing, 'team/secret')).toEqual([503, 503, 503, 503]);
      await upstream.comeBack();
      expect(await mirror.files()).toEqual(before);
      upstream.behaviour.privateRepositories.clear();
      refusing.clock.advance(2 * 60_000);
      expect(await pullImage(refusing, 'team/secret')).toEqual([200, 200, 200, 200]);
      expect(await verdictOn('team/secret')).toBe('public');
    } finally {
      await refusing.stop();
    }
  });

  test('of a shared upstream stops being served a day after its account may read it no more', async () => {
    const shared = await over({ private: 'shared' });
    try {
      await pullImage(shared, 'team/secret');
      await untilKept('team/secret');
      upstream.behaviour.account = { ...ACCOUNT, password: 'changed' };
      shared.clock.advance(DAY_AND_MORE_MS);
      const path = byDigest('team/secret');
      expect((await shared.send(path)).status).toBe(200);
      await until(async () => {
        shared.clock.advance(61_000);
        return (await shared.send(path)).status === 403;
      });
      expect(await verdictOn('team/secret')).toBe('private');
      const before = await mirror.files();
      upstream.behaviour.account = ACCOUNT;
      upstream.forget();
      expect(await pullImage(shared, 'team/secret')).toEqual([200, 200, 200, 200]);
      expect(await mirror.files()).toEqual(before);
    } finally {
      await shared.stop();
    }
  });
});

describe('a repository that its registry hides when it is private', () => {
  beforeEach(async () => {
    await pullImage(mirror, 'hello');
    upstream.behaviour.hidesPrivate = true;
  });

  test('is served no longer when the registry twice knows no such name', async () => {
    upstream.behaviour.privateRepositories.add('library/hello');
    const path = byDigest('hello');
    mirror.clock.advance(DAY_AND_MORE_MS);
    expect((await mirror.send(path)).status).toBe(200);
    await until(async () => {
      mirror.clock.advance(61_000);
      return (await mirror.send(path)).status === 404;
    });
    expect(await verdictOn('library/hello')).toBe('private');
    upstream.behaviour.privateRepositories.clear();
    mirror.clock.advance(11_000);
    expect(await pullImage(mirror, 'hello')).toEqual([200, 200, 200, 200]);
  });

  test('is served on where deleted tags are kept', async () => {
    const keeping = await over({ onDeletedTag: 'keep' });
    try {
      upstream.behaviour.privateRepositories.add('library/hello');
      keeping.clock.advance(DAY_AND_MORE_MS);
      for (let times = 1; times <= 3; times += 1) {
        expect((await keeping.send(byDigest('hello'))).status).toBe(200);
        await until(() => upstream.count('GET', '/v2/library/hello/tags/list') === times);
        keeping.clock.advance(61_000);
      }
      expect((await keeping.send(byDigest('hello'))).status).toBe(200);
    } finally {
      await keeping.stop();
    }
  });

  test('is served on, and proved again, when only what was asked for is gone', async () => {
    upstream.removeTag('library/hello', '1');
    upstream.removeTag('library/hello', image.manifest.digest);
    upstream.addImage('library/hello', '2', makeImage({ layerBytes: [10] }));
    const before = (await mirror.store.index.origins.get(
      parseRepositoryName('mirror/library/hello')!,
      neverEnds,
    ))!;
    mirror.clock.advance(DAY_AND_MORE_MS);
    expect((await mirror.send(byDigest('hello'))).status).toBe(200);
    await until(async () => {
      const name = parseRepositoryName('mirror/library/hello')!;
      const marker = await mirror.store.index.origins.get(name, neverEnds);
      return marker?.provedAt !== before.provedAt && marker?.verdict === 'public';
    });
    expect((await mirror.send(byDigest('hello'))).status).toBe(200);
  });
});

describe('an upstream that is not trusted', () => {
  test('gets a link to bytes that are here only after it delivered them', async () => {
    const other = await over({ trusted: false });
    try {
      expect(await pullImage(other, 'hello')).toEqual([200, 200, 200, 200]);
      upstream.addImage('library/other', '1', image);
      upstream.forget();
      for (let times = 0; times < 2; times += 1) {
        expect(await pullImage(other, 'other')).toEqual([200, 200, 200, 200]);
        await untilKept('library/other');
      }
      const blobs = upstream.seen.filter(({ path }) => path.includes('/blobs/'));
      expect(blobs.map(({ method }) => method)).toEqual(image.blobs.map(() => 'GET'));
    } finally {
      await other.stop();
    }
  });
});
