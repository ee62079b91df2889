import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../../support/describe-with-tools.ts';
import { DOWN, type MirrorLab, startMirrorLab } from '../../support/mirror-lab.ts';
import type { FixtureImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import {
  type ContainerdDaemon,
  CONTAINERD_TOOLS,
  startContainerd,
} from '../../support/start-containerd.ts';

const { daemon: daemon1, client: client1 } = CONTAINERD_TOOLS['1'];
const { daemon: daemon2, client: client2 } = CONTAINERD_TOOLS['2'];
const DAEMONS = [daemon1, client1, daemon2, client2, 'containerd-2-shim'] as const;
const TOOLS = [...DAEMONS, 'crictl', 'registry'] as const;

describeWithTools(TOOLS, 'a mirror of several registries in hosts.toml', () => {
  const servers = new OwnedServers();
  let lab: MirrorLab;

  beforeAll(async () => {
    lab = await startMirrorLab(servers);
  });
  afterAll(() => servers.stopAll());

  describe.each(['1', '2'] as const)('of containerd %s', (version) => {
    const daemons = new OwnedServers();
    let containerd: ContainerdDaemon;

    beforeAll(async () => {
      containerd = await daemons.own(
        startContainerd(version, { namespace: lab.namespace, kubernetes: true }),
      );
    });
    beforeEach(() => containerd.forgetHosts());
    afterAll(() => daemons.stopAll());

    const pull = (name: string, ...flags: readonly string[]): ReturnType<ContainerdDaemon['ctr']> =>
      containerd.ctr(
        ...['images', 'pull', '--hosts-dir', containerd.hostsFolder, '--snapshotter=native'],
        ...flags,
        name,
      );
    /** Pulls what is not there yet, and leaves nothing of it behind. */
    const expectPulled = async (name: string, image: FixtureImage): Promise<void> => {
      const { code, stderr } = await pull(name);
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
      expect((await containerd.ctr('images', 'ls')).stdout).toContain(image.manifest.digest);
      await containerd.ctr('images', 'rm', '--sync', name);
    };
    const mirrored = (path = '', ...lines: readonly string[]): string =>
      [
        `[host."${lab.mirror.url}${path}"]`,
        ...['capabilities = ["pull", "resolve"]', ...lines].map((line) => `  ${line}`),
      ].join('\n');

    test('one file for all of them gets each image from its own registry, and ours from here', async () => {
      containerd.configureHost('_default', mirrored());
      for (const { name, image } of Object.values(lab.images)) await expectPulled(name, image);
      await expectPulled('docker.io/library/hello:1', lab.official);
      const { name, image } = lab.images['ghcr.io'];
      await expectPulled(`${name.split(':')[0]!}@${image.manifest.digest}`, image);
    });

    test('a file for each registry works by a path before /v2, and by one behind it', async () => {
      const ours = new URL(lab.push.url).host;
      containerd.configureHost('docker.io', mirrored('/docker.io'));
      containerd.configureHost('ghcr.io', mirrored('/ghcr.io'));
      containerd.configureHost('quay.io', mirrored('/v2/quay.io', 'override_path = true'));
      containerd.configureHost(ours, `server = "${lab.push.url}"\n${mirrored()}`);
      for (const { name, image } of Object.values(lab.images)) await expectPulled(name, image);
      expect(lab.mirror.logs()).toContain('"repository":"quay.io/team/app"');
    });

    test('a path without /v2, as k3s takes a URL at its word, works as well', async () => {
      containerd.configureHost('ghcr.io', mirrored('/ghcr.io', 'override_path = true'));
      const { name, image } = lab.images['ghcr.io'];
      await expectPulled(name, image);
    });

    test('without capabilities, pushes go to the mirror too, which refuses them', async () => {
      const { name } = lab.images.pushed;
      const target = `${name}-by-${version}`;
      const attempt = async (hostsToml: string): Promise<string> => {
        containerd.configureHost(new URL(lab.push.url).host, hostsToml);
        const { code, stderr } = await containerd.ctr(
          ...['images', 'push', '--hosts-dir', containerd.hostsFolder, target],
        );
        return code === 0 ? 'pushed' : stderr;
      };
      expect((await pull(name)).code).toBe(0);
      await containerd.ctr('images', 'tag', '--force', name, target);
      const server = `server = "${lab.push.url}"\n`;
      expect(await attempt(`${server}[host."${lab.mirror.url}"]\n`)).toContain('405');
      expect(await attempt(server + mirrored())).toBe('pushed');
    });

    test('what the mirror cannot get, or a mirror that is gone, is pulled from the registry itself', async () => {
      const { image } = lab.images['quay.io'];
      const server = `server = "${lab.upstreams['quay.io'].directUrl}"\n`;
      containerd.configureHost(DOWN, server + mirrored());
      await expectPulled(`${DOWN}/team/app:1`, image);
      expect(lab.mirror.logs()).toContain('"status":503');
      containerd.configureHost(DOWN, `${server}[host."http://127.0.0.1:1"]\n`);
      await expectPulled(`${DOWN}/team/app:1`, image);
    });

    test('what is held is pulled while every registry is down', async () => {
      containerd.configureHost('_default', mirrored());
      for (const { name, image } of Object.values(lab.images)) await expectPulled(name, image);
      const registries = Object.values(lab.upstreams);
      for (const registry of registries) await registry.goDown();
      try {
        for (const { name, image } of Object.values(lab.images)) await expectPulled(name, image);
      } finally {
        for (const registry of registries) await registry.comeBack();
      }
    });

    describe('asked as Kubernetes asks a node', () => {
      /** Pulls what is not there yet, and leaves nothing of it behind. */
      const expectPulledByNode = async (
        name: string,
        image: FixtureImage,
        ...flags: readonly string[]
      ): Promise<void> => {
        const { code, stderr } = await containerd.crictl('pull', ...flags, name);
        expect({ name, code, stderr: code === 0 ? '' : stderr }).toEqual({
          name,
          code: 0,
          stderr: '',
        });
        const { stdout } = await containerd.crictl('inspecti', '--output=json', name);
        const { status } = JSON.parse(stdout) as { status: { repoDigests: string[] } };
        expect(status.repoDigests.join()).toContain(image.manifest.digest);
        expect((await containerd.crictl('rmi', name)).code).toBe(0);
      };

      test('one file for all registries gets each image, by tag and digest, with and without a pull secret', async () => {
        containerd.configureHost('_default', mirrored());
        for (const { name, image } of Object.values(lab.images)) {
          await expectPulledByNode(name, image);
        }
        await expectPulledByNode('hello:1', lab.official);
        const { name, image } = lab.images['quay.io'];
        await expectPulledByNode(`${name.split(':')[0]!}@${image.manifest.digest}`, image);
        await expectPulledByNode(name, image, '--creds', 'robot:secret');
      });

      test('a file for each registry works by a path before /v2, by one behind it and by one without it', async () => {
        const { images } = lab;
        containerd.configureHost('docker.io', mirrored('/docker.io'));
        containerd.configureHost('ghcr.io', mirrored('/ghcr.io', 'override_path = true'));
        containerd.configureHost('quay.io', mirrored('/v2/quay.io', 'override_path = true'));
        containerd.configureHost(
          new URL(lab.push.url).host,
          `server = "${lab.push.url}"\n${mirrored()}`,
        );
        for (const { name, image } of Object.values(images)) await expectPulledByNode(name, image);
      });

      test('what the mirror cannot get is pulled from the registry itself', async () => {
        const server = `server = "${lab.upstreams['quay.io'].directUrl}"\n`;
        containerd.configureHost(DOWN, server + mirrored());
        await expectPulledByNode(`${DOWN}/team/app:1`, lab.images['quay.io'].image);
      });
    });

    test('two folders with a colon between them are none, and the mirror is not asked', async () => {
      containerd.configureHost('_default', mirrored());
      const { name } = lab.images['ghcr.io'];
      const folders = `${containerd.hostsFolder}:/etc/docker/certs.d`;
      const { code, stderr } = await pull(name, '--hosts-dir', folders);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/https:\/\/ghcr\.io\/.*connection refused/s);
    });
  });
});
