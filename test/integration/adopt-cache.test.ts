import { existsSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { startDistribution } from '../support/distribution.ts';
import { listKeys } from '../support/list-bucket.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { pullImage, pushImage } from '../support/registry-client.ts';
import { startTwinport, type TwinportOptions } from '../support/registry-process.ts';
import { createTestS3Client, type S3Server, startMinio } from '../support/start-s3.ts';
import { startUpstream, type UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { twinport } from '../support/twinport-command.ts';
import { waitFor } from '../support/wait-for.ts';

const STATE = 'scheduler-state.json';
const IMAGES = [
  ['library/redis', makeImage()],
  ['team/app', makeImage()],
] as const;

interface Place {
  readonly storage: TwinportOptions['storage'];
  /** True once the other registry wrote down what it caches. */
  readonly hasState: () => Promise<boolean>;
}

describeWithTools(['registry', 'minio'], 'twinport adopt-cache', () => {
  let upstream: UpstreamRegistry;
  let s3: S3Server;
  let folder = '';

  beforeAll(async () => {
    folder = makeTempFolder('adopt');
    [upstream, s3] = await Promise.all([startUpstream(), startMinio()]);
    for (const [name, image] of IMAGES) await pushImage(upstream.directUrl, name, '1', image);
  });
  afterAll(async () => {
    await Promise.all([upstream.stop(), s3.stop()]);
    await removeTempFolder(folder);
  });

  const places = {
    files: (): Place => ({
      storage: { dataDir: folder },
      hasState: () => Promise.resolve(existsSync(path.join(folder, STATE))),
    }),
    S3: (): Place => ({
      storage: s3,
      hasState: async () => {
        const client = createTestS3Client(s3);
        const keys = await listKeys(client, s3.bucket, STATE);
        client.destroy();
        return keys.length > 0;
      },
    }),
  };

  test.each(['files', 'S3'] as const)(
    'takes over the cache of a distribution proxy on %s, also after a kill; its upstream has to show it first, and sends no layer again',
    async (kind) => {
      const { storage, hasState } = places[kind]();
      const proxy = await startDistribution(storage, { proxyOf: upstream.url });
      for (const [name] of IMAGES) await pullImage(proxy.url, name, '1');
      await waitFor(hasState, { what: 'the list of what is cached' });
      await proxy.stop();
      const env = { UPSTREAM_URL: upstream.url };

      const dry = await twinport('adopt-cache --dry-run', storage, env);
      expect(dry).toMatchObject({ code: 0 });
      expect(dry.stdout).toContain('library/redis -> mirror/library/redis');
      const killed = await twinport('adopt-cache', storage, {
        ...env,
        TWINPORT_CRASH_POINT: 'adopt.copied',
      });
      expect(killed.code).not.toBe(0);
      await expect(startTwinport({ role: 'mirror', storage })).rejects.toThrow(
        /twinport adopt-cache/,
      );
      expect(await twinport('adopt-cache', storage, env)).toMatchObject({ code: 0 });
      const again = await twinport('adopt-cache', storage, env);
      expect(again.stdout).toContain('nothing to do');

      upstream.resetCounts();
      const mirror = await startTwinport({ role: 'mirror', storage, upstreamUrl: upstream.url });
      try {
        await upstream.goDown();
        expect((await fetch(`${mirror.url}/v2/library/redis/manifests/1`)).status).toBe(503);
        await upstream.comeBack();
        for (const [name, image] of IMAGES) {
          const pulled = await waitFor(() => pullImage(mirror.url, name, '1'), {
            what: `${name} through the mirror`,
            timeoutMs: 60_000,
          });
          expect(pulled.digest).toBe(image.manifest.digest);
        }
        const asked = [...upstream.counts.keys()];
        expect(asked.filter((key) => /^GET .*\/blobs\//.test(key))).toEqual([]);
        await upstream.goDown();
        for (const [name] of IMAGES) await pullImage(mirror.url, name, '1');
      } finally {
        await mirror.stop();
        await upstream.comeBack().catch(() => undefined);
      }
    },
  );
});
