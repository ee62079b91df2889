import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { type FixtureIndex, makeIndex } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullImage, pullManifest, pushIndex } from '../support/registry-client.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { type RedisServer, startRedis } from '../support/start-redis.ts';
import { startUpstream, type UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';

const NAME = 'library/hello';

describeWithTools(['registry', 'redis-server'], 'mirrors over one store and one Redis', () => {
  const servers = new OwnedServers();
  const dataDir = makeTempFolder('outage');
  let upstream: UpstreamRegistry;
  let redis: RedisServer;
  let mirrors: TwinportProcess[];
  const index: FixtureIndex = makeIndex();

  const startMirror = (): Promise<TwinportProcess> =>
    servers.own(
      startTwinport({
        role: 'mirror',
        storage: { dataDir },
        redisUrl: redis.url,
        upstreamUrl: upstream.url,
        env: { MIRROR_TAG_TTL_SECONDS: '3600' },
      }),
    );

  beforeAll(async () => {
    upstream = await servers.own(startUpstream());
    redis = await servers.own(startRedis({ own: true }));
    await pushIndex(upstream.directUrl, NAME, '1', index);
    mirrors = await Promise.all([startMirror(), startMirror()]);
  });
  afterAll(async () => {
    await servers.stopAll();
    await removeTempFolder(dataDir);
  });

  /** The image for one platform, as a client pulls it. */
  async function pull(url: string, child = 0): Promise<void> {
    const top = await pullManifest(url, NAME, '1');
    expect(top.digest).toBe(index.manifest.digest);
    await pullImage(url, NAME, index.images[child]!.manifest.digest);
  }

  const asked = (): Record<string, number> => Object.fromEntries(upstream.counts);

  test('ask the upstream once for each manifest and blob of a cold image', async () => {
    await pull(mirrors[0]!.url);
    await pull(mirrors[0]!.url);
    const [child] = index.images;
    expect(asked()).toEqual({
      [`GET /v2/${NAME}/manifests/1`]: 1,
      [`GET /v2/${NAME}/manifests/${child!.manifest.digest}`]: 1,
      ...Object.fromEntries(
        child!.blobs.map(({ digest }) => [`GET /v2/${NAME}/blobs/${digest}`, 1]),
      ),
    });
  });

  test('ask once for a manifest that both are asked for at once', async () => {
    upstream.resetCounts();
    const path = `${NAME}/manifests/${index.images[1]!.manifest.digest}`;
    const pulls = Array.from({ length: 20 }, (_, at) =>
      fetch(`${mirrors[at % 2]!.url}/v2/${path}`),
    );
    for (const { status } of await Promise.all(pulls)) expect(status).toBe(200);
    expect(asked()[`GET /v2/${path}`]).toBe(1);
  });

  test('confirm a tag by one HEAD for all of them', async () => {
    await redis.flush();
    mirrors = await Promise.all([startMirror(), startMirror()]);
    upstream.resetCounts();
    const pulls = Array.from({ length: 20 }, (_, at) =>
      pullManifest(mirrors[at % 2]!.url, NAME, '1'),
    );
    await Promise.all(pulls);
    expect(asked()).toEqual({ [`HEAD /v2/${NAME}/manifests/1`]: 1 });
  });

  test('serve what they hold without the upstream and without Redis, also when they start so', async () => {
    await upstream.goDown();
    await redis.stop();
    mirrors = [...mirrors, await startMirror()];
    for (const { url, metricsUrl } of mirrors) {
      for (let times = 0; times < 5; times += 1) await pull(url);
      expect((await fetch(`${metricsUrl}/readyz`)).status).toBe(200);
      const miss = await fetch(`${url}/v2/${NAME}/manifests/2`);
      expect([miss.status, miss.headers.get('retry-after')]).toEqual([503, expect.any(String)]);
    }
    await upstream.comeBack();
    await redis.restart();
  });
});
