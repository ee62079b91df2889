import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, type TestMirror } from './testing/start-test-mirror.ts';

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
