import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullImage, pullManifest, pushImage } from '../support/registry-client.ts';
import { startTwinport } from '../support/registry-process.ts';
import type { TwinportProcess } from '../support/registry-process.ts';
import { sizeOf } from '../support/sizes.ts';
import { startUpstream } from '../support/start-upstream.ts';
import type { UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

describeWithTools(['registry'], 'a push service and a mirror over one folder', () => {
  const dataDir = makeTempFolder('data');
  const servers = new OwnedServers();
  let upstream: UpstreamRegistry;
  let push: TwinportProcess;
  let mirror: TwinportProcess;

  const startBoth = async (): Promise<void> => {
    const common = { storage: { dataDir }, upstreamUrl: upstream.url } as const;
    push = await servers.own(startTwinport({ ...common, role: 'push' }));
    mirror = await servers.own(
      startTwinport({ ...common, role: 'mirror', env: { PUSH_PUBLIC_URL: push.url } }),
    );
  };

  beforeAll(async () => {
    upstream = await servers.own(startUpstream());
    await startBoth();
  });
  afterAll(() => servers.stopAll());

  test('the mirror refuses a push and says where to push, the push service takes it, both serve it', async () => {
    const image = makeImage();
    const refused = await fetch(`${mirror.url}/v2/team/app/blobs/uploads/`, { method: 'POST' });
    expect(refused.status).toBe(405);
    expect(refused.headers.get('allow')).toMatch(/GET/);
    const { errors } = (await refused.json()) as { errors: { code: string; message: string }[] };
    expect(errors[0]?.code).toBe('UNSUPPORTED');
    expect(JSON.stringify(errors)).toContain(push.url);

    await pushImage(push.url, 'team/app', '1', image);
    expect((await pullImage(push.url, 'team/app', '1')).bytes).toEqual(image.manifest.bytes);
    expect((await pullImage(mirror.url, 'team/app', '1')).bytes).toEqual(image.manifest.bytes);
  });

  test('what was pushed and what was cached survives a restart, also one by SIGKILL and with the upstream gone', async () => {
    const pushed = makeImage();
    const cached = makeImage();
    await pushImage(push.url, 'team/kept', '1', pushed);
    await pushImage(upstream.directUrl, 'library/kept', '1', cached);
    await pullImage(mirror.url, 'library/kept', '1');
    await waitUntilHeld('mirror/library/kept', cached.manifest.digest);

    push.kill('SIGKILL');
    await push.ended;
    await Promise.all([push.stop(), mirror.stop(), upstream.goDown()]);
    await startBoth();
    try {
      for (const { url } of [push, mirror]) {
        expect((await pullImage(url, 'team/kept', '1')).bytes).toEqual(pushed.manifest.bytes);
      }
      expect((await pullImage(mirror.url, 'library/kept', '1')).bytes).toEqual(
        cached.manifest.bytes,
      );
      expect((await pullImage(push.url, 'mirror/library/kept', '1')).bytes).toEqual(
        cached.manifest.bytes,
      );
    } finally {
      await upstream.comeBack();
    }
  });

  test('many clients pull one cold image at once and the upstream sees one GET for each blob', async () => {
    const image = makeImage({ layerBytes: [sizeOf('coldLayerBytes'), 100_000, 1] });
    await pushImage(upstream.directUrl, 'library/cold', '1', image);
    upstream.resetCounts();

    const clients = Array.from({ length: sizeOf('coldClients') }, () =>
      pullImage(mirror.url, 'library/cold', '1'),
    );
    for (const manifest of await Promise.all(clients))
      expect(manifest.bytes).toEqual(image.manifest.bytes);

    for (const { digest } of image.blobs) {
      expect([digest, upstream.counts.get(`GET /v2/library/cold/blobs/${digest}`)]).toEqual([
        digest,
        1,
      ]);
    }
    await pullImage(mirror.url, 'library/cold', '1');
    for (const { digest } of image.blobs) {
      expect([digest, upstream.counts.get(`GET /v2/library/cold/blobs/${digest}`)]).toEqual([
        digest,
        1,
      ]);
    }
  });

  /** The push service serves cached content once it is held: its answer tells that the fill has been stored. */
  async function waitUntilHeld(repo: string, digest: string): Promise<void> {
    await waitFor(async () => (await pullManifest(push.url, repo, digest)).digest === digest, {
      what: `${repo} to be held`,
    });
  }
});

describe('a mirror of Docker Hub, which counts pulls and answers 429 when there were enough', () => {
  const LIMIT = 5;
  const servers = new OwnedServers();
  const images = ['node', 'redis', 'postgres'].map((name) => ({ name, image: makeImage() }));
  const uwsgi = makeImage();
  let hub: FakeUpstream;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    hub = await servers.own(startFakeUpstream());
    hub.behaviour.wantsToken = true;
    hub.behaviour.pullsLeft.set('anybody', LIMIT);
    for (const { name, image } of images) hub.addImage(`library/${name}`, '18', image);
    hub.addImage('tiangolo/uwsgi-nginx-flask', '18', uwsgi);
    hub.addImage('library/cold', '18', makeImage());
    mirror = await servers.own(
      startTwinport({
        role: 'mirror',
        storage: { dataDir: makeTempFolder('data') },
        upstreamUrl: hub.url,
        env: { MIRROR_TAG_TTL_SECONDS: '0' },
      }),
    );
  });
  afterAll(() => servers.stopAll());

  /** Each of 20 developers and pipelines pulls all the images, all at once. */
  async function pullAllAtOnce(): Promise<void> {
    const pulls = Array.from({ length: 20 }, () => images)
      .flat()
      .map(async ({ name, image }) => {
        const { bytes } = await pullImage(mirror.url, `library/${name}`, '18');
        expect(bytes).toEqual(image.manifest.bytes);
      });
    await Promise.all(pulls);
  }

  test('20 developers and pipelines pull the same images at once, which Docker Hub counts as one pull each', async () => {
    await pullAllAtOnce();
    expect(hub.behaviour.pullsLeft.get('anybody')).toBe(LIMIT - images.length);
    for (const { digest } of images.flatMap(({ image }) => image.blobs)) {
      const asked = hub.seen.filter(({ path }) => path.endsWith(digest));
      expect(asked.filter(({ authorization }) => authorization !== undefined)).toHaveLength(1);
    }
  });

  test('an image of the project `mirror` is found with and without `library`, without a login', async () => {
    const redis = images.find(({ name }) => name === 'redis')?.image.manifest.bytes;
    for (const name of ['mirror/redis', 'mirror/library/redis', 'redis']) {
      expect((await pullImage(mirror.url, name, '18')).bytes).toEqual(redis);
    }
    const name = 'mirror/tiangolo/uwsgi-nginx-flask';
    expect((await pullImage(mirror.url, name, '18')).bytes).toEqual(uwsgi.manifest.bytes);
    // A slip of the pen is told as such; 401 would send people to look for their password.
    const slip = await fetch(`${mirror.url}/v2/mirror/rediss/manifests/18`);
    expect(slip.status).toBe(404);
  });

  test('once the limit is reached, what was pulled is served to all, and what was not is 503, never 429', async () => {
    hub.behaviour.pullsLeft.set('anybody', 0);
    await pullAllAtOnce();
    const cold = await fetch(`${mirror.url}/v2/library/cold/manifests/18`);
    expect([cold.status, cold.headers.get('retry-after')]).toEqual([503, expect.any(String)]);
  });
});
