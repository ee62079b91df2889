import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { pushLabelled } from '../../support/labelled-image.ts';
import { makeImage, makeIndex } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage, pullManifest, pushImage, pushIndex } from '../../support/registry-client.ts';
import { CONTAINERD_TOOLS, startContainerd } from '../../support/start-containerd.ts';
import type { ContainerdDaemon } from '../../support/start-containerd.ts';

describe.each(['1', '2'] as const)('containerd %s', (version) => {
  const { daemon: daemonTool, client } = CONTAINERD_TOOLS[version];
  const more = version === '2' ? (['containerd-2-shim'] as const) : [];
  describeWithTools([daemonTool, client, ...more, 'registry'], 'with hosts.toml', () => {
    const image = makeImage({ layerBytes: [200_000, 10] });
    const index = makeIndex(['amd64', 'arm64']);
    const servers = new OwnedServers();
    let lab: ClientLab;
    let containerd: ContainerdDaemon;

    beforeAll(async () => {
      lab = await startClientLab(servers);
      const { directUrl } = lab.upstream;
      await pushLabelled(directUrl, 'library/hello', '1', 'hub hello');
      await pushLabelled(directUrl, 'team/app', '1', 'hub team/app');
      await pushImage(directUrl, 'team/image', '1', image);
      await pushIndex(directUrl, 'team/index', '1', index);
      await pushLabelled(lab.push.url, 'team/app', '1', 'ours team/app');
      containerd = await servers.own(startContainerd(version));
      const host = `[host."${lab.mirror.url}"]\n  capabilities = ["pull", "resolve"]\n`;
      // Nobody listens at the server, so what comes has come through the mirror.
      containerd.configureHost('docker.io', `server = "http://127.0.0.1:1"\n${host}`);
      // What is pushed to the push port is pulled from the mirror, with the push port's name as `ns`.
      containerd.configureHost(lab.push.host, `server = "${lab.push.url}"\n${host}`);
    });
    afterAll(() => servers.stopAll());

    const succeed = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await containerd.ctr(...args);
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
      return stdout;
    };
    const fetched = (reference: string): Promise<string> =>
      succeed('content', 'fetch', '--hosts-dir', containerd.hostsFolder, reference);
    const pulled = (reference: string, ...flags: readonly string[]): Promise<string> =>
      succeed(
        ...['images', 'pull', '--hosts-dir', containerd.hostsFolder, '--snapshotter=native'],
        ...flags,
        reference,
      );
    const pushed = (reference: string): Promise<string> =>
      succeed('images', 'push', '--hosts-dir', containerd.hostsFolder, reference);

    test('pulls an official image with ns=docker.io', async () => {
      await fetched('docker.io/library/hello:1');
      expect(lab.upstream.counts.get('GET /v2/library/hello/manifests/1')).toBe(1);
    });

    test('gets Docker Hub’s image of a name that was also pushed here', async () => {
      lab.upstream.resetCounts();
      await fetched('docker.io/team/app:1');
      expect(lab.upstream.counts.get('GET /v2/team/app/manifests/1')).toBe(1);
    });

    test('pulls a pushed image under this registry’s own host without asking the upstream', async () => {
      lab.upstream.resetCounts();
      await fetched(`${lab.push.host}/team/app:1`);
      expect([...lab.upstream.counts.keys()]).toEqual([]);
      expect(lab.mirror.logs()).toContain('"repository":"team/app","reference":"1"');
    });

    test('pulls and unpacks by tag and by digest', async () => {
      await pulled('docker.io/team/image:1');
      await pulled(`docker.io/team/image@${image.manifest.digest}`);
      expect(await succeed('images', 'ls')).toContain(image.manifest.digest);
    });

    test('pushes an image, tags it on, and pushes it beside by mounting', async () => {
      await pulled('docker.io/team/image:1');
      for (const name of ['ctr/image:1', 'ctr/image:latest', 'ctr/beside:1']) {
        const target = `${lab.push.host}/${name}`;
        await succeed('images', 'tag', '--force', 'docker.io/team/image:1', target);
        await pushed(target);
        await pushed(target);
      }
      for (const { url } of [lab.push, lab.mirror]) {
        for (const [repository, tag] of [
          ['ctr/image', 'latest'],
          ['ctr/beside', '1'],
        ] as const) {
          const { digest } = await pullImage(url, repository, tag);
          expect(digest).toBe(image.manifest.digest);
        }
      }
      await succeed('images', 'rm', `${lab.push.host}/ctr/image:1`);
      await pulled(`${lab.push.host}/ctr/image:1`);
    });

    test('pushes a multi-platform image with every platform', async () => {
      await pulled('docker.io/team/index:1', '--all-platforms');
      const target = `${lab.push.host}/ctr/index:1`;
      await succeed('images', 'tag', 'docker.io/team/index:1', target);
      await pushed(target);
      expect((await pullManifest(lab.mirror.url, 'ctr/index', '1')).digest).toBe(
        index.manifest.digest,
      );
      for (const { manifest } of index.images) {
        await pullImage(lab.mirror.url, 'ctr/index', manifest.digest);
      }
    });

    test('is refused on pushing to the mirror', async () => {
      await pulled('docker.io/team/image:1');
      const target = `${lab.mirror.host}/ctr/refused:1`;
      await succeed('images', 'tag', 'docker.io/team/image:1', target);
      const { code, stderr } = await containerd.ctr('images', 'push', '--plain-http', target);
      expect(code).not.toBe(0);
      expect(stderr).toContain('405');
    });

    test('pulls again while the upstream is down', async () => {
      await lab.upstream.goDown();
      await fetched('docker.io/library/hello:1');
      await lab.upstream.comeBack();
    });

    test('is told what neither has', async () => {
      const { code, stderr } = await containerd.fetch('docker.io/library/nothing:1');
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/not found|connection refused/);
    });
  });
});
