import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { type FakeUpstream, startFakeUpstream } from '../../../test/support/fake-upstream.ts';
import { type FixtureIndex, makeIndex } from '../../../test/support/oci-fixtures.ts';
import { startTestMirror, TAG_TTL_SECONDS, type TestMirror } from '../testing/start-test-mirror.ts';
import { untilStored } from '../testing/until-stored.ts';
import type { Explanation } from './explain.ts';

let upstream: FakeUpstream;
let mirror: TestMirror;
let index: FixtureIndex;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  index = makeIndex(['amd64', 'arm64', 's390x']);
  upstream.addIndex('library/hello', '1', index);
  mirror = await startTestMirror(upstream.url, { upstream: { completeBytes: 1_000_000 } });
});

afterEach(async () => {
  await mirror.stop();
  await upstream.stop();
});

async function explained(ref: string, ns?: string): Promise<Explanation> {
  const query = new URLSearchParams({ ref, ...(ns !== undefined && { ns }) });
  const answer = await mirror.send(`/api/v1/explain?${query.toString()}`);
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
  return JSON.parse(answer.body.toString()) as Explanation;
}

describe('GET /api/v1/explain', () => {
  test('says what a name means and why, and asks no upstream', async () => {
    expect(await explained('hello:1')).toEqual({
      schemaVersion: 1,
      name: 'hello',
      kind: 'upstream',
      why: 'hello names no project here and no upstream, so mirror is asked, as the default upstream',
      spelling: ['hello is the official image library/hello'],
      repository: 'mirror/library/hello',
      upstream: {
        project: 'mirror',
        url: upstream.url,
        repository: 'library/hello',
        breaker: 'closed',
        verdict: 'unproved',
      },
      tag: { name: '1' },
    });
    expect((await explained('docker.io/team/app')).why).toBe(
      'the first segment is a host of the upstream mirror',
    );
    expect((await explained('mirror/hello')).spelling).toEqual([
      'mirror/ names the upstream and is left out',
      'hello is the official image library/hello',
    ]);
    expect((await explained('hello', 'docker.io')).why).toBe(
      'ns=docker.io names the upstream mirror',
    );
    expect(await explained('elsewhere.example:5000/app')).toMatchObject({
      kind: 'unknown',
      why: 'ns=elsewhere.example:5000 names nothing that this mirror knows',
    });
    expect((await explained('push.example:5000/team/app')).kind).toBe('local');
    expect((await explained('local/team/app:1')).spelling).toEqual([
      'the prefix local/ is left out',
    ]);
    expect(upstream.seen).toEqual([]);
  });

  test('tells the digest, the platforms that are held, and when the tag is compared again', async () => {
    await mirror.send('/v2/hello/manifests/1');
    const [amd, arm] = index.images;
    await mirror.send(`/v2/hello/manifests/${amd!.manifest.digest}`);
    const holdings = async (): Promise<string[]> =>
      ((await explained('hello:1')).platforms ?? []).map(
        ({ platform, holding }) => `${platform} ${holding}`,
      );
    await until(async () => (await holdings()).includes('linux/amd64 complete'));
    expect(await holdings()).toEqual([
      'linux/amd64 complete',
      'linux/arm64 none',
      'linux/s390x none',
    ]);
    const { tag, manifest, upstream: of } = await explained('hello:1');
    expect(tag?.digest).toBe(index.manifest.digest);
    const [last, next] = [tag?.lastCheckAt, tag?.nextCheckAt].map((at) => Date.parse(at ?? ''));
    expect(next! - last!).toBe(TAG_TTL_SECONDS * 1000);
    expect(manifest).toMatchObject({ digest: index.manifest.digest, holding: 'complete' });
    expect(of).toMatchObject({ verdict: 'public', provedAt: expect.stringMatching(/^\d{4}-/) });
    expect((await explained(`hello@${arm!.manifest.digest}`)).manifest).toBeUndefined();
  });

  test('tells nothing of what is held for a repository that is not proved public any more', async () => {
    await mirror.send('/v2/hello/manifests/1');
    const name = 'mirror/library/hello' as never;
    const { origins } = mirror.store.index;
    const signal = new AbortController().signal;
    await untilStored(mirror, '1');
    const marker = await origins.get(name, signal);
    await origins.put(name, { ...marker!, verdict: 'private' }, signal);
    mirror.clock.advance(11_000);
    const told = await explained('hello:1');
    expect(told.upstream?.verdict).toBe('private');
    expect([told.tag, told.manifest, told.platforms]).toEqual([
      { name: '1' },
      undefined,
      undefined,
    ]);
  });

  test('refuses what is no reference, and other methods', async () => {
    for (const query of ['', '?ref=', '?ref=UPPER', '?ref=a@sha256:1', '?ref=a:b:c']) {
      expect((await mirror.send(`/api/v1/explain${query}`)).status).toBe(400);
    }
    expect((await mirror.send('/api/v1/explain?ref=a', { method: 'DELETE' })).status).toBe(405);
    expect((await mirror.send('/api/v1/other')).status).toBe(404);
  });
});
