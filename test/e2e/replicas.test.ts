import { createHash } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import type { FixtureImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import {
  locationOf,
  pullImage,
  pushImage,
  pushManifest,
  requireStatus,
} from '../support/registry-client.ts';
import { startTwinport } from '../support/registry-process.ts';
import type { TwinportProcess } from '../support/registry-process.ts';
import { startRedis } from '../support/start-redis.ts';
import type { RedisServer } from '../support/start-redis.ts';
import { startMinio } from '../support/start-s3.ts';
import type { S3Server } from '../support/start-s3.ts';

const ROUNDS = 10;

describeWithTools(
  ['redis-server', 'minio'],
  'two push and two mirror replicas over one bucket and one Redis',
  () => {
    const servers = new OwnedServers();
    let redis: RedisServer;
    let s3: S3Server;
    let pushers: [TwinportProcess, TwinportProcess];
    let mirrors: [TwinportProcess, TwinportProcess];
    let everyUrl: string[];

    beforeAll(async () => {
      redis = await servers.own(startRedis({ own: true }));
      s3 = await servers.own(startMinio());
      const start = (role: 'push' | 'mirror'): Promise<TwinportProcess> =>
        servers.own(startTwinport({ role, storage: s3, redisUrl: redis.url }));
      // One role at a time, as a rollout does; two of them at once, as its replicas are.
      pushers = await Promise.all([start('push'), start('push')]);
      mirrors = await Promise.all([start('mirror'), start('mirror')]);
      everyUrl = [...pushers, ...mirrors].map(({ url }) => url);
    });
    afterAll(() => servers.stopAll());

    test('one upload whose POST, PATCH and PUT go to different replicas becomes a blob', async () => {
      await pushAcrossReplicas('team/split', makeImage({ layerBytes: [300_000] }));
    });

    test('chunks of one upload spread over both replicas become a blob of more than one multipart part', async () => {
      const image = makeImage({ layerBytes: [20_000_000] });
      await pushAcrossReplicas('team/chunks', image, 3_000_000);
      await expectEverywhere('team/chunks', '1', image.manifest.digest);
    });

    test('a tag is visible on every replica at once, and so are its next values and its deletion', async () => {
      const images = Array.from({ length: ROUNDS }, () => makeImage());
      for (const [round, image] of images.entries()) {
        await pushImage(pushers[round % 2]!.url, 'team/tagged', 'latest', image);
        await expectEverywhere('team/tagged', 'latest', image.manifest.digest);
      }
      await requireStatus(
        await fetch(`${pushers[1].url}/v2/team/tagged/manifests/latest`, { method: 'DELETE' }),
        202,
      );
      await expectEverywhere('team/tagged', 'latest', 'absent');
    });

    test('answers come by way of Redis while it is there', async () => {
      await seed('team/indexed');
      await answers('team/indexed');
      expect(await redis.keyCount()).toBeGreaterThan(0);
      for (const { metricsUrl } of [...pushers, ...mirrors]) {
        const readiness = await fetch(`${metricsUrl}/readyz`);
        expect(await readiness.text()).not.toMatch(/redis/i);
      }
    });

    test('flushing Redis changes no answer', async () => {
      await seed('team/flushed');
      const before = await answers('team/flushed');
      await redis.flush();
      expect(await answers('team/flushed')).toEqual(before);
      await changeTag('team/flushed');
    });

    test('stopping Redis changes no answer, and pushes go on', async () => {
      await seed('team/stopped');
      const before = await answers('team/stopped');
      await redis.stop();
      expect(await answers('team/stopped')).toEqual(before);
      await changeTag('team/stopped');
      const without = await answers('team/stopped');
      await redis.restart();
      expect(await answers('team/stopped')).toEqual(without);
      await changeTag('team/stopped');
    });

    test('a Redis that hangs changes no answer, pushes go on, and what it remembers afterwards is not believed', async () => {
      await seed('team/hung');
      const before = await answers('team/hung');
      redis.pause();
      expect(await answers('team/hung')).toEqual(before);
      await changeTag('team/hung');
      const hung = await answers('team/hung');
      redis.resume();
      expect(await answers('team/hung')).toEqual(hung);
      await changeTag('team/hung');
    });

    async function seed(repo: string): Promise<void> {
      for (const tag of ['1', '2', 'latest'])
        await pushImage(pushers[0].url, repo, tag, makeImage());
      await requireStatus(
        await fetch(`${pushers[1].url}/v2/${repo}/manifests/2`, { method: 'DELETE' }),
        202,
      );
      const { digest, mediaType, bytes } = await pullImage(mirrors[0].url, repo, '1');
      await pushImage(
        pushers[1].url,
        repo,
        'about-1',
        makeImage({ subject: { digest, mediaType, bytes } }),
      );
    }

    /** Moves a tag through one replica; every replica must tell the new value at once. */
    async function changeTag(repo: string): Promise<void> {
      for (const pusher of pushers) {
        const image = makeImage();
        await pushImage(pusher.url, repo, 'latest', image);
        await expectEverywhere(repo, 'latest', image.manifest.digest);
      }
    }

    async function expectEverywhere(repo: string, tag: string, digest: string): Promise<void> {
      const seen = await Promise.all(everyUrl.map((url) => tagDigest(url, repo, tag)));
      expect(seen).toEqual(everyUrl.map(() => digest));
    }

    async function tagDigest(url: string, repo: string, tag: string): Promise<string> {
      const response = await fetch(`${url}/v2/${repo}/manifests/${tag}`, { method: 'HEAD' });
      if (response.status === 404) return 'absent';
      return response.headers.get('docker-content-digest') ?? `status ${response.status}`;
    }

    /** What every replica says about a repository: status and a digest of the body of each question. */
    async function answers(repo: string): Promise<Record<string, string>> {
      const { digest } = await pullImage(pushers[0].url, repo, '1');
      const questions = [
        ...['1', '2', 'latest', 'about-1', digest].map(
          (reference) => `${repo}/manifests/${reference}`,
        ),
        `${repo}/tags/list`,
        `${repo}/referrers/${digest}`,
      ];
      const asked = everyUrl.flatMap((url) => questions.map((question) => ({ url, question })));
      const told = await Promise.all(
        asked.map(async ({ url, question }) => {
          const response = await fetch(`${url}/v2/${question}`);
          const body = createHash('sha256').update(Buffer.from(await response.arrayBuffer()));
          return [`${url} ${question}`, `${response.status} ${body.digest('hex')}`] as const;
        }),
      );
      return Object.fromEntries(told);
    }

    /** Every blob: POST to one replica, PATCHes to both in turn, PUT to the other; then the manifest. */
    async function pushAcrossReplicas(
      repo: string,
      image: FixtureImage,
      chunkBytes = Infinity,
    ): Promise<void> {
      for (const { bytes, digest } of image.blobs) {
        const opened = await fetch(`${pushers[0].url}/v2/${repo}/blobs/uploads/`, {
          method: 'POST',
        });
        await requireStatus(opened, 202);
        let location = locationOf(opened);
        for (let offset = 0, turn = 1; offset < bytes.length; offset += chunkBytes, turn += 1) {
          const chunk = bytes.subarray(offset, Math.min(bytes.length, offset + chunkBytes));
          const patched = await fetch(at(pushers[turn % 2]!, location), {
            method: 'PATCH',
            headers: {
              'content-type': 'application/octet-stream',
              'content-range': `${offset}-${offset + chunk.length - 1}`,
            },
            body: new Uint8Array(chunk),
          });
          await requireStatus(patched, 202);
          location = locationOf(patched);
        }
        const target = at(pushers[0], location);
        target.searchParams.set('digest', digest);
        await requireStatus(await fetch(target, { method: 'PUT' }), 201);
      }
      await pushManifest(pushers[1].url, repo, '1', image.manifest);
      for (const url of everyUrl) {
        expect((await pullImage(url, repo, '1')).digest).toBe(image.manifest.digest);
      }
    }
  },
);

/** The same path and query on another replica. */
function at(replica: TwinportProcess, location: URL): URL {
  return new URL(`${location.pathname}${location.search}`, replica.url);
}
