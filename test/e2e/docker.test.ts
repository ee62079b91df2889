import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { makeImage, makeIndex } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pushImage, pushIndex } from '../support/registry-client.ts';
import { startTwinport } from '../support/registry-process.ts';
import type { TwinportProcess } from '../support/registry-process.ts';
import { sizeOf } from '../support/sizes.ts';
import { DOCKER_TOOLS, startDockerd } from '../support/start-dockerd.ts';
import type { DockerDaemon } from '../support/start-dockerd.ts';
import { startUpstream } from '../support/start-upstream.ts';
import type { UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

describe.each(['20', '29'] as const)('docker %s', (engine) => {
  describeWithTools([...DOCKER_TOOLS[engine], 'registry'], 'a daemon', () => {
    const dataDir = makeTempFolder('data');
    const servers = new OwnedServers();
    let upstream: UpstreamRegistry;
    let push: TwinportProcess;
    let mirror: TwinportProcess;

    beforeAll(async () => {
      upstream = await servers.own(startUpstream());
      const common = { storage: { dataDir }, upstreamUrl: upstream.url } as const;
      push = await servers.own(startTwinport({ ...common, role: 'push' }));
      mirror = await servers.own(
        startTwinport({
          ...common,
          role: 'mirror',
          env: { PUSH_PUBLIC_URL: push.url, MIRROR_TAG_TTL_SECONDS: '0' },
        }),
      );
    });
    afterAll(() => servers.stopAll());

    describe('that pushes to one port and pulls from both', () => {
      const daemons = new OwnedServers();
      let daemon: DockerDaemon;

      beforeAll(async () => {
        daemon = await daemons.own(startDockerd({ engine }));
        await daemon.succeed('build', '--tag', `${push.host}/demo/app:1`, await makeContext());
      });
      afterAll(() => daemons.stopAll());

      test('pushes what it built and pulls it again from the push port', async () => {
        const image = `${push.host}/demo/app:1`;
        const pushed = digestIn(await daemon.succeed('push', image));
        const id = await imageId(daemon, image);
        await daemon.succeed('rmi', image);
        expect(digestIn(await daemon.succeed('pull', image))).toBe(pushed);
        expect(await imageId(daemon, image)).toBe(id);
      });

      test('pulls the same image from the mirror', async () => {
        const atPush = `${push.host}/demo/app:1`;
        const atMirror = `${mirror.host}/demo/app:1`;
        await daemon.succeed('push', atPush);
        const id = await imageId(daemon, atPush);
        await daemon.succeed('rmi', atPush);
        await daemon.succeed('pull', atMirror);
        expect(await imageId(daemon, atMirror)).toBe(id);
        await daemon.succeed('tag', atMirror, atPush);
      });

      test('is refused on pushing to the mirror with a message that names the push port', async () => {
        const image = `${mirror.host}/demo/refused:1`;
        await daemon.succeed('tag', `${push.host}/demo/app:1`, image);
        const { code, stderr } = await daemon.docker('push', image);
        expect(code).not.toBe(0);
        expect(stderr).toMatch(engine === '20' ? /^unsupported: /m : /^error from registry: /m);
        expect(stderr).toMatch(/mirror/i);
        expect(stderr).toContain(push.host);
      });

      test('is refused on pushing to the mirror what the registry already holds', async () => {
        const image = `${mirror.host}/demo/app:2`;
        await daemon.succeed('tag', `${push.host}/demo/app:1`, image);
        const { code, stderr } = await daemon.docker('push', image);
        expect(code).not.toBe(0);
        expect(stderr).toContain(push.host);
      });

      test('pushes a second tag without sending the layers again, and both roles serve it', async () => {
        await daemon.succeed('tag', `${push.host}/demo/app:1`, `${push.host}/demo/app:3`);
        expect(await daemon.succeed('push', `${push.host}/demo/app:3`)).toContain(
          'Layer already exists',
        );
        await daemon.succeed('pull', `${mirror.host}/demo/app:3`);
      });

      test('mounts the layers of a repository that it pushed to another one', async () => {
        await daemon.succeed('tag', `${push.host}/demo/app:1`, `${push.host}/demo/other:1`);
        expect(await daemon.succeed('push', `${push.host}/demo/other:1`)).toContain(
          'Mounted from demo/app',
        );
        await daemon.succeed('pull', `${mirror.host}/demo/other:1`);
      });
    });

    describe('with the mirror as its registry mirror', () => {
      const daemons = new OwnedServers();
      let daemon: DockerDaemon;

      beforeAll(async () => {
        await pushImage(upstream.directUrl, 'library/hello', '1', makeImage({ format: 'docker' }));
        await pushIndex(upstream.directUrl, 'team/multi', '1', makeIndex(['amd64', 'arm64']));
        daemon = await daemons.own(
          startDockerd({ engine, flags: [`--registry-mirror=${mirror.url}`] }),
        );
      });
      afterAll(() => daemons.stopAll());

      test('pulls hello:1 through the mirror, and again while the upstream is down', async () => {
        const digest = digestIn(await daemon.succeed('pull', 'hello:1'));
        expect(upstream.counts.get('GET /v2/library/hello/manifests/1') ?? 0).toBeLessThanOrEqual(
          1,
        );
        await daemon.succeed('rmi', 'hello:1');
        await upstream.goDown();
        try {
          expect(digestIn(await daemon.succeed('pull', 'hello:1'))).toBe(digest);
        } finally {
          await upstream.comeBack();
        }
      });

      test('pulls its platform of a multi-platform image, and again while the upstream is down', async () => {
        await daemon.succeed('pull', 'team/multi:1');
        await daemon.succeed('rmi', 'team/multi:1');
        await upstream.goDown();
        try {
          await daemon.succeed('pull', 'team/multi:1');
        } finally {
          await upstream.comeBack();
        }
      });

      test('pulls an official image by its short name from the mirror itself', async () => {
        await daemon.succeed('pull', `${mirror.host}/hello:1`);
        await daemon.succeed('pull', `${mirror.host}/library/hello:1`);
        const [short, long] = await Promise.all(
          [`${mirror.host}/hello:1`, `${mirror.host}/library/hello:1`].map((image) =>
            imageId(daemon, image),
          ),
        );
        expect(short).toBe(long);
      });

      test('is told that an image exists nowhere', async () => {
        const { code, stderr } = await daemon.docker('pull', `${mirror.host}/library/absent:1`);
        expect(code).not.toBe(0);
        expect(stderr).toMatch(/not found|manifest unknown/i);
      });
    });
  });
});

/** A folder with a Dockerfile FROM scratch: one large layer, one small, a label, a command. */
async function makeContext(): Promise<string> {
  const folder = makeTempFolder('context');
  await writeFile(path.join(folder, 'large'), randomBytes(sizeOf('dockerLayerBytes')));
  await writeFile(path.join(folder, 'small'), 'hello\n');
  const lines = [
    'FROM scratch',
    'COPY large /large',
    'COPY small /small',
    'LABEL purpose=test',
    'CMD ["/small"]',
    '',
  ];
  await writeFile(path.join(folder, 'Dockerfile'), lines.join('\n'));
  return folder;
}

/** The digest that docker prints after a push or a pull. */
function digestIn(output: string): string {
  const digest = /digest: (sha256:[0-9a-f]{64})/i.exec(output)?.[1];
  if (digest === undefined) throw new Error(`no digest in: ${output}`);
  return digest;
}

async function imageId(daemon: DockerDaemon, image: string): Promise<string> {
  return (await daemon.succeed('image', 'inspect', '--format', '{{.Id}}', image)).trim();
}
