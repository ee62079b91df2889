import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { testUpstream } from '../../shared/config/testing/test-upstream.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, type TestMirror } from './testing/start-test-mirror.ts';

let hub: FakeUpstream;
let quay: FakeUpstream;
let hubImage: FixtureImage;
let quayImage: FixtureImage;
let mirror: TestMirror;

beforeEach(async () => {
  [hub, quay] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
  [hubImage, quayImage] = [makeImage(), makeImage()];
  hub.addImage('team/app', '1', hubImage);
  quay.addImage('team/app', '1', quayImage);
  quay.addImage('secret/app', '1', quayImage);
  quay.addImage('secret/open', '1', quayImage);
  mirror = await startTestMirror(hub.url, {
    upstreams: [
      testUpstream({
        project: 'quay.io',
        url: quay.url,
        hosts: ['quay.io'],
        allow: ['team/*', 'secret/*'],
        deny: ['secret/app*'],
      }),
    ],
  });
});
afterEach(async () => {
  await mirror.stop();
  await Promise.all([hub.stop(), quay.stop()]);
});

const digestAt = async (path: string): Promise<unknown> => {
  const answer = await mirror.send(`/v2/${path}`);
  return answer.status === 200 ? answer.headers['docker-content-digest'] : answer.status;
};

describe('several upstreams behind one URL', () => {
  test('keep repositories of one name apart, by ns and by prefix', async () => {
    expect(await digestAt('team/app/manifests/1')).toBe(hubImage.manifest.digest);
    expect(await digestAt('team/app/manifests/1?ns=docker.io')).toBe(hubImage.manifest.digest);
    expect(await digestAt('team/app/manifests/1?ns=quay.io')).toBe(quayImage.manifest.digest);
    expect(await digestAt('quay.io/team/app/manifests/1')).toBe(quayImage.manifest.digest);
    // What one of them delivered is not the other's.
    const [blob] = quayImage.blobs;
    expect((await mirror.send(`/v2/quay.io/team/app/blobs/${blob!.digest}`)).status).toBe(200);
    expect((await mirror.send(`/v2/team/app/blobs/${blob!.digest}`)).status).toBe(404);
    expect(await digestAt(`team/app/manifests/${quayImage.manifest.digest}`)).toBe(404);
  });

  test('are told by OCI-Namespace, and a registry that is none of them is 404', async () => {
    const known = await mirror.send('/v2/team/app/manifests/1?ns=quay.io');
    expect(known.headers['oci-namespace']).toBe('quay.io');
    expect(await digestAt('team/app/manifests/1?ns=elsewhere.example')).toBe(404);
    expect(await digestAt(`team/app/manifests/1?ns=${new URL(hub.url).host}`)).toBe(
      hubImage.manifest.digest,
    );
    expect(await digestAt('team/app/manifests/1?ns=169.254.169.254')).toBe(404);
  });

  test.each([
    `manifests/1`,
    `manifests/sha256:${'a'.repeat(64)}`,
    `blobs/sha256:${'a'.repeat(64)}`,
    'tags/list',
  ])('refuse %s of a repository that their patterns leave out, without asking', async (what) => {
    for (const name of ['secret/app', 'secret/app-two', 'other/app']) {
      for (const path of [`quay.io/${name}/${what}`, `${name}/${what}?ns=quay.io`]) {
        const answer = await mirror.send(`/v2/${path}`);
        expect(answer.status).toBe(403);
        expect(JSON.parse(String(answer.body))).toMatchObject({
          errors: [{ code: 'DENIED', message: expect.stringContaining(name) as unknown }],
        });
      }
    }
    expect(quay.seen).toEqual([]);
  });

  test('serve what a pattern allows and none denies', async () => {
    expect(await digestAt('quay.io/secret/open/manifests/1')).toBe(quayImage.manifest.digest);
  });
});
