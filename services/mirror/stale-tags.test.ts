import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, TAG_TTL_SECONDS, type TestMirror } from './testing/start-test-mirror.ts';
import { untilStored } from './testing/until-stored.ts';

const HOUR_MS = 60 * 60_000;

let upstream: FakeUpstream;
let mirror: TestMirror;
let image: FixtureImage;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  image = makeImage({ layerBytes: [100] });
  upstream.addImage('library/hello', '1', image);
});
afterEach(async () => {
  await mirror.stop();
  await upstream.stop();
});

async function start(settings: Partial<UpstreamConfig> = {}): Promise<void> {
  mirror = await startTestMirror(upstream.url, { upstream: settings });
}

const pull = (reference = '1', from = mirror): Promise<TestAnswer> =>
  from.send(`/v2/hello/manifests/${reference}`);
const digestOf = async (): Promise<unknown> => (await pull()).headers['docker-content-digest'];
const seconds = (count: number): void => mirror.clock.advance(count * 1000);

describe('a tag that is asked for often', () => {
  test('is served at once while it is confirmed, and has moved for the next one', async () => {
    await start();
    await pull();
    seconds(TAG_TTL_SECONDS - 1);
    await pull();
    seconds(2);
    const next = makeImage();
    upstream.addImage('library/hello', '1', next);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.hold = promise;
    upstream.forget();
    const answers = await Promise.all(Array.from({ length: 5 }, () => pull()));
    for (const { headers } of answers) {
      expect(headers['docker-content-digest']).toBe(image.manifest.digest);
      expect(headers.warning).toBeUndefined();
    }
    resolve(undefined);
    await until(async () => (await digestOf()) === next.manifest.digest);
    expect(upstream.seen.map(({ method }) => method)).toEqual(['HEAD', 'GET']);
  });

  test('is confirmed before it is served when it is as old again as its life', async () => {
    await start();
    await pull();
    seconds(TAG_TTL_SECONDS - 1);
    await pull();
    const next = makeImage();
    upstream.addImage('library/hello', '1', next);
    seconds(TAG_TTL_SECONDS + 1);
    expect(await digestOf()).toBe(next.manifest.digest);
  });
});

describe('a held tag that cannot be confirmed', () => {
  test('is served with the reason and the age, for good where there is no limit', async () => {
    await start();
    await pull();
    await upstream.goDown();
    mirror.clock.advance(3 * HOUR_MS);
    const warning =
      /^299 - "served from the cache, last confirmed 3 h ago: 127\.0\.0\.1:\d+ cannot/;
    expect((await pull()).headers.warning).toMatch(warning);
    mirror.clock.advance(400 * 24 * HOUR_MS);
    const late = await pull();
    expect([late.status, late.headers.warning]).toEqual([
      200,
      expect.stringContaining('last confirmed 400 days ago'),
    ]);
  });

  test('is 503 beyond the limit on stale tags, by digest still served, and served again when confirmed', async () => {
    await start({ maxStaleSeconds: 7200 });
    await pull();
    await upstream.goDown();
    mirror.clock.advance(HOUR_MS);
    expect((await pull()).status).toBe(200);
    mirror.clock.advance(HOUR_MS + 1000);
    const late = await pull();
    expect([late.status, errorCode(late), late.headers['retry-after']]).toEqual([
      503,
      'UNAVAILABLE',
      '5',
    ]);
    expect(late.body.toString()).toContain('last confirmed 2 h ago');
    expect((await pull(image.manifest.digest)).status).toBe(200);
    await upstream.comeBack();
    expect((await pull()).headers.warning).toBeUndefined();
  });

  test('keeps its age over a restart with all hints lost', async () => {
    await start({ maxStaleSeconds: 7200 });
    await pull();
    await until(async () => (await mirror.files()).some((name) => name.endsWith('confirmed/1')));
    await upstream.goDown();
    const { store } = mirror;
    const again = await startTestMirror(upstream.url, {
      store,
      upstream: { maxStaleSeconds: 7200 },
    });
    try {
      expect((await pull('1', again)).status).toBe(200);
      again.clock.advance(2 * HOUR_MS + 1000);
      expect((await pull('1', again)).status).toBe(503);
    } finally {
      await again.stop();
    }
  });

  test('does not make others wait once the upstream was too slow for one', async () => {
    const clock = new ManualClock();
    mirror = await startTestMirror(upstream.url, { over: { clock } });
    upstream.addImage('library/hello', '2', image);
    await pull('1');
    await pull('2');
    clock.advance(HOUR_MS);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.hold = promise;
    upstream.forget();
    const first = pull('1');
    await until(() => upstream.seen.length > 0);
    clock.advance(2_500);
    expect((await first).headers.warning).toContain('has not answered yet');
    // No time passes for this one.
    expect((await pull('2')).headers.warning).toContain('has not answered yet');
    resolve(undefined);
    await until(async () => (await pull('2')).headers.warning === undefined);
  });

  test.each(['docker.invalid', '127.0.0.1:1'])(
    'is served when its upstream is %s, where a miss is 503',
    async (host) => {
      await start();
      await pull();
      await untilStored(mirror, '1');
      await mirror.store.records.deleteTree('twinport/v1/mirrors', new AbortController().signal);
      const url = `http://${host}`;
      const other = await startTestMirror(url, { store: mirror.store });
      try {
        const signal = new AbortController().signal;
        const name = 'docker/registry/v2/repositories/mirror/library/hello/_twinport/origin';
        const marker = (await mirror.store.records.get(name, signal))!.toString();
        const moved = Buffer.from(marker.replace(upstream.url, url));
        await mirror.store.records.put(name, moved, signal);
        other.clock.advance(11_000);
        expect((await pull('1', other)).headers.warning).toContain(host.split(':')[0]);
        expect((await pull('2', other)).status).toBe(503);
      } finally {
        await other.stop();
      }
    },
  );
});

describe('a tag that the upstream deleted', () => {
  test('is kept where it is to be, with a warning, and asked for again', async () => {
    await start({ onDeletedTag: 'keep' });
    await pull();
    upstream.removeTag('library/hello', '1');
    seconds(TAG_TTL_SECONDS + 1);
    const answer = await pull();
    expect([answer.status, answer.headers.warning]).toEqual([
      200,
      expect.stringContaining('has no such tag any more'),
    ]);
    const next = makeImage();
    upstream.addImage('library/hello', '1', next);
    seconds(TAG_TTL_SECONDS + 1);
    expect(await digestOf()).toBe(next.manifest.digest);
  });

  test('is kept no longer than a tag may be stale', async () => {
    await start({ onDeletedTag: 'keep', maxStaleSeconds: 7200 });
    await pull();
    upstream.removeTag('library/hello', '1');
    mirror.clock.advance(HOUR_MS);
    expect((await pull()).status).toBe(200);
    mirror.clock.advance(2 * HOUR_MS);
    expect((await pull()).status).toBe(404);
  });

  test('is forgotten where it is to be dropped, with the time of its last confirmation', async () => {
    await start();
    await pull();
    await until(async () => (await mirror.files()).some((name) => name.endsWith('confirmed/1')));
    upstream.removeTag('library/hello', '1');
    seconds(TAG_TTL_SECONDS + 1);
    expect((await pull()).status).toBe(404);
    expect((await mirror.files()).filter((name) => /confirmed|tags/.test(name))).toEqual([]);
  });
});

describe('an upstream that does not answer', () => {
  const fail = async (times: number): Promise<void> => {
    for (let count = 0; count < times; count += 1) {
      expect((await pull(`missing-${count}`)).status).toBe(503);
    }
  };

  test('is left alone after five failures: misses are 503 at once, held tags are served at once', async () => {
    await start();
    await pull();
    upstream.behaviour.status = { code: 500 };
    mirror.clock.advance(HOUR_MS);
    await fail(4);
    expect((await mirror.send('/v2/other/manifests/1')).status).toBe(503);
    upstream.forget();
    const miss = await pull('missing');
    expect([miss.status, miss.headers['retry-after']]).toEqual([503, '1']);
    expect(miss.body.toString()).toContain('has not answered for a while');
    expect((await pull()).headers.warning).toContain('has not answered for a while');
    expect(upstream.seen).toEqual([]);
    upstream.behaviour.status = undefined;
    seconds(2);
    // The first to come tries for all, and does not wait for it.
    expect((await pull()).status).toBe(200);
    await until(async () => (await pull()).headers.warning === undefined);
    expect((await pull('missing')).status).toBe(404);
  });

  test('is asked on for other repositories while one alone fails', async () => {
    await start();
    upstream.behaviour.status = { code: 500 };
    await fail(10);
    upstream.behaviour.status = undefined;
    expect((await pull()).status).toBe(200);
  });
});

describe('what the upstream does not have', () => {
  test('is asked for once in ten seconds, and found as soon as it is in the store', async () => {
    await start();
    upstream.behaviour.status = { code: 503 };
    expect((await pull('2')).status).toBe(503);
    upstream.behaviour.status = undefined;
    for (let count = 0; count < 3; count += 1) expect((await pull('2')).status).toBe(404);
    expect(upstream.count('GET', '/v2/library/hello/manifests/2')).toBe(2);
    upstream.addImage('library/hello', '2', image);
    seconds(11);
    expect((await pull('2')).status).toBe(200);

    expect((await pull('3')).status).toBe(404);
    upstream.addImage('library/hello', '3', image);
    const other = await startTestMirror(upstream.url, { store: mirror.store });
    expect((await pull('3', other)).status).toBe(200);
    await untilStored(other, '3');
    await other.stop();
    expect((await pull('3')).status).toBe(200);
  });
});
