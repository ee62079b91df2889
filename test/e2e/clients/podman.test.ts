import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { containersProgram } from '../../support/containers-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage, makeIndex } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage, pullManifest, pushImage, pushIndex } from '../../support/registry-client.ts';

describeWithTools(['podman', 'registry'], 'podman', () => {
  const { home, attempt, run } = containersProgram('podman');
  const insecure = '--tls-verify=false';
  const servers = new OwnedServers();
  let lab: ClientLab;

  const imageId = (name: string): Promise<string> =>
    run('image', 'inspect', '--format', '{{.Id}}', name);
  /** Pushes and answers the digest that podman learned. */
  const push = async (image: string, ...flags: readonly string[]): Promise<string> => {
    const file = path.join(home, 'digest');
    await run('push', insecure, '--digestfile', file, ...flags, image);
    return await readFile(file, 'utf8');
  };

  beforeAll(async () => {
    lab = await startClientLab(servers);
  });
  afterAll(() => servers.stopAll());

  test('pushes what it built and pulls it from both roles by tag and by digest', async () => {
    const image = await build(`${lab.push.host}/podman/app:1`);
    const [id, digest] = [await imageId(image), await push(image)];
    await run('rmi', image);
    for (const host of lab.hosts) {
      for (const reference of [`${host}/podman/app:1`, `${host}/podman/app@${digest}`]) {
        expect(await run('pull', insecure, '--quiet', reference)).toBe(id);
      }
      await run('rmi', '--force', id);
    }
  });

  test('pushes layers in zstd; both roles serve them', async () => {
    const image = await build(`${lab.push.host}/podman/zstd:1`);
    const id = await imageId(image);
    await push(image, '--format=oci', '--compression-format=zstd');
    const { bytes } = await pullManifest(lab.push.url, 'podman/zstd', '1');
    expect(bytes.toString()).toContain('"application/vnd.oci.image.layer.v1.tar+zstd"');
    await run('rmi', image);
    for (const host of lab.hosts) {
      expect(await run('pull', insecure, '--quiet', `${host}/podman/zstd:1`)).toBe(id);
      await run('rmi', '--force', id);
    }
  });

  test('moves latest on; the old image stays under its digest', async () => {
    const latest = `${lab.push.host}/podman/moving`;
    const first = await push(await build(latest));
    const second = await push(await build(latest));
    expect(second).not.toBe(first);
    for (const { url } of [lab.push, lab.mirror]) {
      expect((await pullImage(url, 'podman/moving', 'latest')).digest).toBe(second);
      expect((await pullImage(url, 'podman/moving', first)).digest).toBe(first);
    }
  });

  test('makes a manifest list of two platforms, in either format', async () => {
    for (const [format, type] of [
      ['oci', 'application/vnd.oci.image.index.v1+json'],
      ['docker', 'application/vnd.docker.distribution.manifest.list.v2+json'],
    ] as const) {
      const list = `${lab.push.host}/podman/list:${format}`;
      for (const platform of ['linux/amd64', 'linux/arm64']) {
        await build(list, '--format', format, '--platform', platform, '--manifest', list);
      }
      const pushFormat = format === 'oci' ? 'oci' : 'v2s2';
      const pushAll = ['manifest', 'push', insecure, '--all', '--format', pushFormat];
      await run(...pushAll, list, `docker://${list}`);
      for (const { url } of [lab.push, lab.mirror]) {
        const { bytes, mediaType } = await pullManifest(url, 'podman/list', format);
        expect(mediaType).toBe(type);
        const { manifests } = JSON.parse(bytes.toString()) as { manifests: { digest: string }[] };
        expect(manifests).toHaveLength(2);
        for (const { digest } of manifests) await pullImage(url, 'podman/list', digest);
      }
      const arm = `${lab.mirror.host}/podman/list:${format}`;
      await run('pull', insecure, '--quiet', '--platform', 'linux/arm64', arm);
      expect(await run('image', 'inspect', '--format', '{{.Architecture}}', arm)).toBe('arm64');
    }
  });

  test('searches the repositories of the registry and lists tags', async () => {
    await push(await build(`${lab.push.host}/podman/found:a`));
    await push(await build(`${lab.push.host}/podman/found:b`));
    const found = `${lab.push.host}/podman/found`;
    const search = ['search', insecure, '--format', '{{.Name}}'];
    expect(await run(...search, `${lab.push.host}/podman/fo`)).toBe(found);
    const tags = await run('search', insecure, '--list-tags', found);
    expect(tags.split(/\s+/)).toEqual(['NAME', 'TAG', found, 'a', found, 'b']);
  });

  test('is refused by the mirror with the address to push to', async () => {
    const { code, stderr } = await attempt(
      ...['push', insecure, await build(`${lab.mirror.host}/podman/refused:1`)],
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain(lab.push.url);
  });

  test('pulls from the upstream through the mirror that registries.conf names', async () => {
    await pushImage(lab.upstream.directUrl, 'library/hello', '1', makeImage({ format: 'docker' }));
    await pushIndex(lab.upstream.directUrl, 'team/multi', '1', makeIndex(['amd64', 'arm64']));
    const config = path.join(home, 'registries.conf');
    writeFileSync(
      config,
      [
        '[[registry]]',
        'prefix = "docker.io"',
        // Nobody listens there, so what comes has come through the mirror.
        'location = "127.0.0.1:1"',
        '[[registry.mirror]]',
        `location = "${lab.mirror.host}/docker.io"`,
        'insecure = true',
      ].join('\n'),
    );
    const mirrored = containersProgram('podman', {
      env: { CONTAINERS_REGISTRIES_CONF: config },
    });
    await mirrored.run('pull', '--quiet', 'docker.io/library/hello:1');
    await mirrored.run('pull', '--quiet', 'docker.io/team/multi:1');
    await mirrored.run('rmi', '--all', '--force');
    await lab.upstream.goDown();
    try {
      await mirrored.run('pull', '--quiet', 'docker.io/library/hello:1');
      await mirrored.run('pull', '--quiet', 'docker.io/team/multi:1');
    } finally {
      await lab.upstream.comeBack();
    }
  });

  /** An image FROM scratch with one new layer. */
  async function build(name: string, ...flags: readonly string[]): Promise<string> {
    const context = path.join(home, 'context');
    mkdirSync(context, { recursive: true });
    writeFileSync(path.join(context, 'file'), randomBytes(50_000));
    writeFileSync(path.join(context, 'Dockerfile'), 'FROM scratch\nCOPY file /file\n');
    const naming = flags.length === 0 ? ['--tag', name] : flags;
    await run('build', '--quiet', '--isolation=chroot', ...naming, context);
    return name;
  }
});
