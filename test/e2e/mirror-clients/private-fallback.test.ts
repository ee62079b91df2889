import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { containersProgram } from '../../support/containers-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage } from '../../support/registry-client.ts';
import type { TwinportProcess } from '../../support/registry-process.ts';
import { CONTAINERD_TOOLS, startContainerd } from '../../support/start-containerd.ts';
import { type Hub, startHub, startMirrorOfHub } from '../../support/start-hub.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const PRIVATE = 'docker.io/alice/secret:1';
const PASSWORD = 'correct-horse';
const { daemon: daemon1, client: client1 } = CONTAINERD_TOOLS['1'];
const { daemon: daemon2, client: client2 } = CONTAINERD_TOOLS['2'];
const CONTAINERD = [daemon1, client1, daemon2, client2, 'containerd-2-shim'] as const;
const TOOLS = ['podman', 'buildah', ...CONTAINERD, 'registry', 'openssl'] as const;

describeWithTools(TOOLS, 'private images of Docker Hub, which the mirror refuses', () => {
  const dataDir = makeTempFolder('data');
  const servers = new OwnedServers();
  const image = makeImage({ format: 'docker' });
  const publicImage = makeImage({ format: 'docker' });
  let hub: Hub;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    const users = { alice: PASSWORD };
    hub = await servers.own(startHub({ users, isPrivate: (name) => name.startsWith('alice/') }));
    await pushImage(hub.directUrl, 'alice/secret', '1', image);
    await pushImage(hub.directUrl, 'library/hello', '1', publicImage);
    mirror = await servers.own(startMirrorOfHub(hub, dataDir));
  });
  afterAll(() => servers.stopAll());

  /** The mirror was asked and said no, and nothing of the image lies in its store. */
  const expectRefusedAndNotStored = (asked: number): void => {
    expect(refusals()).toBeGreaterThan(asked);
    for (const { digest } of [image.manifest, ...image.blobs]) {
      const [, hex = ''] = digest.split(':');
      const key = path.join('docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex);
      expect(existsSync(path.join(dataDir, key))).toBe(false);
    }
  };
  const refusals = (): number =>
    mirror.logs().match(/"repository":"(?:docker\.io\/)?alice\/secret".*"status":403/g)?.length ??
    0;

  test.each(['podman', 'buildah'] as const)(
    '%s pulls with the login at Docker Hub itself, and not without one',
    async (name) => {
      const file = path.join(makeTempFolder('registries'), 'registries.conf');
      writeFileSync(
        file,
        [
          '[[registry]]',
          'prefix = "docker.io"',
          'location = "docker.io"',
          '[[registry.mirror]]',
          `location = "${mirror.host}/docker.io"`,
          'insecure = true',
        ].join('\n'),
      );
      const { attempt, run } = containersProgram(name, {
        namespace: hub.namespace,
        env: { CONTAINERS_REGISTRIES_CONF: file, SSL_CERT_FILE: hub.authorityFile },
      });
      await run('pull', '--quiet', 'docker.io/library/hello:1');
      const stranger = await attempt('pull', '--quiet', PRIVATE);
      expect(stranger.code).not.toBe(0);
      expect(stranger.stderr).toMatch(/access to the resource is denied|unauthorized/);

      const before = refusals();
      await run('login', '--username=alice', `--password=${PASSWORD}`, 'docker.io');
      const [config] = image.blobs;
      expect(`sha256:${await run('pull', '--quiet', PRIVATE)}`).toBe(config!.digest);
      expectRefusedAndNotStored(before);
    },
  );

  test.each(['1', '2'] as const)(
    'containerd %s pulls with the login at Docker Hub itself, and not without one',
    async (version) => {
      const { namespace, authorityFile } = hub;
      const containerd = await servers.own(startContainerd(version, { namespace, authorityFile }));
      const lines = [
        'server = "https://registry-1.docker.io"',
        `[host."${mirror.url}"]`,
        '  capabilities = ["pull", "resolve"]',
      ];
      containerd.configureHost('docker.io', lines.join('\n'));
      const pull = (...flags: readonly string[]): ReturnType<typeof containerd.ctr> =>
        containerd.ctr(
          ...['images', 'pull', '--hosts-dir', containerd.hostsFolder, '--snapshotter=native'],
          ...flags,
        );
      expect((await pull('docker.io/library/hello:1')).code).toBe(0);
      expect((await pull(PRIVATE)).code).not.toBe(0);

      const before = refusals();
      const { code, stderr } = await pull('--user', `alice:${PASSWORD}`, PRIVATE);
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
      expect((await containerd.ctr('images', 'ls')).stdout).toContain(image.manifest.digest);
      expectRefusedAndNotStored(before);
    },
  );
});
