import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pushImage } from '../support/registry-client.ts';
import type { TwinportProcess } from '../support/registry-process.ts';
import { runSuccessfully } from '../support/run-command.ts';
import { type DockerDaemon, DOCKER_TOOLS, startDockerd } from '../support/start-dockerd.ts';
import { type Hub, startHub, startMirrorOfHub } from '../support/start-hub.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const PRIVATE = 'alice/secret:1';
const LAYER_BYTES = 500_000;
const DENIED =
  /pull access denied for alice\/secret, repository does not exist or may require 'docker login'/;

describe.each(['20', '29'] as const)('docker %s with a mirror of Docker Hub', (engine) => {
  describeWithTools([...DOCKER_TOOLS[engine], 'registry', 'openssl'], 'private images', () => {
    const dataDir = makeTempFolder('data');
    const servers = new OwnedServers();
    const publicImage = makeImage({ format: 'docker', layerBytes: [LAYER_BYTES] });
    const image = makeImage({ format: 'docker', layerBytes: [LAYER_BYTES] });
    let hub: Hub;
    let mirror: TwinportProcess;
    let daemon: DockerDaemon;

    beforeAll(async () => {
      const users = { alice: 'correct-horse' };
      hub = await servers.own(startHub({ users, isPrivate: (name) => name.startsWith('alice/') }));
      await pushImage(hub.directUrl, 'library/hello', '1', publicImage);
      await pushImage(hub.directUrl, 'alice/secret', '1', image);
      mirror = await servers.own(startMirrorOfHub(hub, dataDir, { MIRROR_TAG_TTL_SECONDS: '0' }));
      const { namespace, authorityFile } = hub;
      const flags = [`--registry-mirror=${mirror.url}`];
      daemon = await servers.own(startDockerd({ engine, flags, namespace, authorityFile }));
    });
    afterAll(() => servers.stopAll());

    test('a public one is stored: the disk has grown by it', async () => {
      const before = await diskUse(dataDir);
      await daemon.succeed('pull', 'hello:1');
      const hello = 'docker/registry/v2/repositories/mirror/library/hello';
      const links = [
        ...publicImage.blobs.map(({ digest }) => `${hello}/_layers/${linkPath(digest)}`),
        // What is written last of a tag.
        `${hello}/_twinport/confirmed/1`,
      ];
      await waitFor(() => links.every((link) => link in contentOf(dataDir)), {
        what: 'the public image to be stored',
      });
      expect(await diskUse(dataDir)).toBeGreaterThan(before + LAYER_BYTES / 1024);
    });

    test('are pulled by who is logged in at Docker Hub, denied to others, and never stored', async () => {
      const before = contentOf(dataDir);
      const usedBefore = await diskUse(dataDir);

      const stranger = await daemon.docker('pull', PRIVATE);
      expect(stranger.code).not.toBe(0);
      expect(stranger.stderr).toMatch(DENIED);

      const wrong = await daemon.docker('login', '--username=alice', '--password=wrong');
      expect(wrong.code).not.toBe(0);
      expect(await daemon.succeed('login', '--username=alice', '--password=correct-horse')).toMatch(
        /Login Succeeded/,
      );
      expect(await daemon.succeed('pull', PRIVATE)).toContain(image.manifest.digest);
      expect(await daemon.succeed('pull', 'hello:1')).toMatch(/Image is up to date/);

      await daemon.succeed('logout');
      await daemon.succeed('rmi', PRIVATE);
      const after = await daemon.docker('pull', PRIVATE);
      expect(after.code).not.toBe(0);
      expect(after.stderr).toMatch(DENIED);

      expect(contentOf(dataDir)).toEqual(before);
      expect(await diskUse(dataDir)).toBe(usedBefore);
      expect((await fetch(`${mirror.url}/v2/alice/secret/manifests/1`)).status).toBe(403);
    });

    test('while Docker Hub is inaccessible the public one is served, and a private one not even to its owner', async () => {
      await daemon.succeed('login', '--username=alice', '--password=correct-horse');
      await daemon.succeed('rmi', 'hello:1');
      await hub.goDown();
      expect(await daemon.succeed('pull', 'hello:1')).toContain(publicImage.manifest.digest);
      expect((await daemon.docker('pull', PRIVATE)).code).not.toBe(0);
    });
  });
});

const linkPath = (digest: string): string => `${digest.replace(':', '/')}/link`;

/** What running mirrors write every few seconds: signs of life, and which of the held images were used. */
const BESIDE = ['mirrors', '.mirrors', 'used'];

/** Kilobytes that a store takes on disk, as `du` tells, apart from what mirrors write beside. */
async function diskUse(folder: string): Promise<number> {
  const excluded = BESIDE.map((name) => `--exclude=${name}`);
  return parseInt(await runSuccessfully('du', ['-sk', ...excluded, folder]), 10);
}

/** Digests of all that a store holds, by path, apart from what mirrors write beside. */
function contentOf(folder: string): Record<string, string> {
  const content: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() || file.split(path.sep).some((part) => BESIDE.includes(part))) continue;
    content[path.relative(folder, file)] = createHash('sha256')
      .update(readFileSync(file))
      .digest('hex');
  }
  return content;
}
