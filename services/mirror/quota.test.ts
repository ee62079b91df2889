import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, TAG_TTL_SECONDS, type TestMirror } from './testing/start-test-mirror.ts';

const password = 's3cret';
const credential = (username: string) => ({ kind: 'password', username, password }) as const;

let upstream: FakeUpstream;
let mirror: TestMirror;
let image: FixtureImage;
let pullsLeft: Map<string, number>;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  image = makeImage({ layerBytes: [100] });
  upstream.addImage('library/hello', '1', image);
  const { behaviour } = upstream;
  behaviour.wantsToken = true;
  behaviour.otherAccounts.set('ann', password).set('bob', password);
  ({ pullsLeft } = behaviour);
  pullsLeft.set('anybody', 100);
});
afterEach(async () => {
  await mirror.stop();
  await upstream.stop();
});

async function start(...usernames: string[]): Promise<void> {
  const credentials = usernames.map(credential);
  mirror = await startTestMirror(upstream.url, { upstream: { credentials } });
}

const pull = (tag: string): Promise<TestAnswer> => mirror.send(`/v2/hello/manifests/${tag}`);
const tagLife = (): void => mirror.clock.advance(TAG_TTL_SECONDS * 1000 + 1000);

/** Who asked for what since `forget`, in order. */
const questions = (): string[] =>
  upstream.seen
    // The first question of each identity learns where tokens are to be had.
    .filter(({ path, authorization }) => path !== '/token' && authorization !== undefined)
    .map(({ method, authorization }) => {
      const who = /^Bearer ([^/]+)/.exec(authorization ?? '')?.[1];
      return `${method} ${who}`;
    });

async function addTags(...tags: string[]): Promise<void> {
  for (const tag of tags) upstream.addImage('library/hello', tag, makeImage({ layerBytes: [10] }));
  // The first pull of a repository proves that anybody may.
  expect((await pull('1')).status).toBe(200);
  upstream.forget();
}

describe("an upstream's budget of pulls", () => {
  test('is not touched by confirming tags', async () => {
    await start();
    await pull('1');
    expect(pullsLeft.get('anybody')).toBe(99);
    for (let times = 0; times < 5; times += 1) {
      tagLife();
      await pull('1');
    }
    expect(pullsLeft.get('anybody')).toBe(99);
    expect(upstream.count('HEAD', '/v2/library/hello/manifests/1')).toBe(5);
  });

  test('is told to the metrics by upstream and credential, without a name or a secret', async () => {
    await start('ann');
    pullsLeft.set('ann', 40);
    await pull('1');
    const last = new Map(mirror.edge.quotas.map((quota) => [quota.credential, quota]));
    expect(last.get('account-1')).toMatchObject({ upstream: 'mirror', limit: 100, remaining: 39 });
    expect(last.get('anonymous')).toMatchObject({ limit: 100, remaining: 100 });
    expect(JSON.stringify(mirror.edge.quotas)).not.toMatch(/ann\b|s3cret/);
  });

  test('that runs low lets tags live longer', async () => {
    await start();
    pullsLeft.set('anybody', 14);
    await pull('1');
    upstream.forget();
    mirror.clock.advance(TAG_TTL_SECONDS * 3_500);
    expect((await pull('1')).headers.warning).toBeUndefined();
    expect(upstream.seen).toEqual([]);
    // 13 of 100 are left: just under four times as long.
    mirror.clock.advance(TAG_TTL_SECONDS * 5_000);
    await pull('1');
    expect(questions()).toContain('HEAD anybody');
  });

  test('that is used up ends pulls of manifests alone; held tags are served, what is gone is 503', async () => {
    await start();
    await addTags('2');
    pullsLeft.set('anybody', 0);
    const miss = await pull('2');
    expect([miss.status, errorCode(miss)]).toEqual([503, 'UNAVAILABLE']);
    upstream.forget();
    const again = await pull('2');
    expect([again.status, again.headers['retry-after']]).toEqual([503, '30']);
    expect(upstream.seen).toEqual([]);
    for (const { digest } of image.blobs) {
      expect((await mirror.send(`/v2/hello/blobs/${digest}`)).status).toBe(200);
    }
    // Sixteen times its life, since nothing is left; and that it moved is seen, but not followed.
    mirror.clock.advance(TAG_TTL_SECONDS * 33_000);
    upstream.addImage('library/hello', '1', makeImage({ layerBytes: [11] }));
    const stale = await pull('1');
    expect(stale.headers['docker-content-digest']).toBe(image.manifest.digest);
    expect(stale.headers.warning).toContain('limits');
  });
});

describe('several credentials', () => {
  test('are used by what they have left, the next one where one is limited, and at last none', async () => {
    await start('ann', 'bob');
    pullsLeft.set('ann', 1).set('bob', 2);
    await addTags('2', '3', '4', '5');
    expect(pullsLeft.get('ann')).toBe(0);
    expect((await pull('2')).status).toBe(200);
    expect((await pull('3')).status).toBe(200);
    expect((await pull('4')).status).toBe(200);
    expect(questions()).toEqual(['GET bob', 'GET bob', 'GET ann', 'GET bob', 'GET anybody']);
    pullsLeft.set('anybody', 0);
    expect((await pull('5')).status).toBe(503);
  });

  test('one that is refused makes way for the next, which readiness tells', async () => {
    await start('eve', 'bob');
    await addTags('2');
    expect((await pull('2')).status).toBe(200);
    expect(questions()).toEqual(['GET bob']);
    expect((await mirror.role.degraded()).join()).toContain('account is refused (account-1)');
  });
});
