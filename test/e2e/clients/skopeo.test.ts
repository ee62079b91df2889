import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { clientProgram } from '../../support/client-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage, makeIndex } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage, pushImage, pushIndex } from '../../support/registry-client.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

describeWithTools(['skopeo', 'registry'], 'skopeo', () => {
  const image = makeImage({ layerBytes: [200_000, 10] });
  const index = makeIndex(['amd64', 'arm64']);
  const { attempt, run } = clientProgram('skopeo', { globalFlags: ['--insecure-policy'] });
  const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];
  const servers = new OwnedServers();
  let lab: ClientLab;

  const copy = (from: string, to: string, ...flags: readonly string[]): Promise<string> =>
    run('copy', ...insecure, ...flags, from, to);
  const digestAt = (name: string): Promise<string> =>
    run('inspect', '--tls-verify=false', '--format', '{{.Digest}}', name);
  const rawAt = (name: string): Promise<string> =>
    run('inspect', '--raw', '--tls-verify=false', name);

  beforeAll(async () => {
    lab = await startClientLab(servers);
    await pushImage(lab.upstream.directUrl, 'source/image', '1', image);
    await pushIndex(lab.upstream.directUrl, 'source/index', '1', index);
  });
  afterAll(() => servers.stopAll());

  test('copies an image in; both roles serve it by tag and by digest', async () => {
    await copy(`docker://${lab.source}/source/image:1`, `docker://${lab.push.host}/skopeo/image:1`);
    for (const host of lab.hosts) {
      expect(await digestAt(`docker://${host}/skopeo/image:1`)).toBe(image.manifest.digest);
      await copy(`docker://${host}/skopeo/image:1`, `dir:${makeTempFolder('skopeo')}`);
      const byDigest = `docker://${host}/skopeo/image@${image.manifest.digest}`;
      await copy(byDigest, `dir:${makeTempFolder('skopeo')}`);
    }
  });

  test('copies a multi-platform image in with every platform', async () => {
    const target = `docker://${lab.push.host}/skopeo/index:1`;
    await copy(`docker://${lab.source}/source/index:1`, target, '--all');
    for (const host of lab.hosts) {
      const raw = await rawAt(`docker://${host}/skopeo/index:1`);
      expect(raw).toBe(index.manifest.bytes.toString('utf8'));
      await copy(`docker://${host}/skopeo/index:1`, `oci:${makeTempFolder('skopeo')}:1`, '--all');
    }
  });

  test('turns an image into the docker format on the way', async () => {
    const target = `docker://${lab.push.host}/skopeo/docker:1`;
    await copy(`docker://${lab.source}/source/image:1`, target, '--format=v2s2');
    expect(await rawAt(target)).toContain('"application/vnd.docker.distribution.manifest.v2+json"');
  });

  test('compresses the layers anew with zstd on the way', async () => {
    // An image of its own: a layer that skopeo knows to be here in another compression it would take from there.
    await pushImage(lab.upstream.directUrl, 'source/zstd', '1', makeImage());
    const folder = makeTempFolder('skopeo');
    await copy(`docker://${lab.source}/source/zstd:1`, `dir:${folder}`, '--dest-decompress');
    const target = `docker://${lab.push.host}/skopeo/zstd:1`;
    await copy(`dir:${folder}`, target, '--format=oci', '--dest-compress-format=zstd');
    expect(await rawAt(target)).toContain('"application/vnd.oci.image.layer.v1.tar+zstd"');
    for (const { url } of [lab.push, lab.mirror]) await pullImage(url, 'skopeo/zstd', '1');
  });

  test('mounts the layers of a repository beside, and sends nothing again that is there', async () => {
    const whole = `docker://${lab.push.host}/skopeo/whole:1`;
    const beside = `docker://${lab.push.host}/skopeo/beside:1`;
    await copy(`docker://${lab.source}/source/image:1`, whole);
    await copy(whole, beside);
    await copy(whole, beside);
    expect(await digestAt(beside)).toBe(image.manifest.digest);
    await pullImage(lab.mirror.url, 'skopeo/beside', '1');
  });

  test('synchronises a whole repository from the mirror into a folder', async () => {
    for (const tag of ['1', '2']) {
      await copy(
        `docker://${lab.source}/source/image:1`,
        `docker://${lab.push.host}/skopeo/synced:${tag}`,
      );
    }
    const folder = makeTempFolder('skopeo');
    const repo = `${lab.mirror.host}/skopeo/synced`;
    await run('sync', '--src-tls-verify=false', '--src=docker', '--dest=dir', repo, folder);
    for (const tag of ['1', '2']) {
      const manifest = await readFile(path.join(folder, `synced:${tag}`, 'manifest.json'));
      expect(manifest.equals(image.manifest.bytes)).toBe(true);
    }
  });

  test('lists tags and deletes', async () => {
    const repo = `docker://${lab.push.host}/skopeo/listed`;
    for (const tag of ['a', 'b']) {
      await copy(`docker://${lab.source}/source/image:1`, `${repo}:${tag}`);
    }
    const listed = JSON.parse(await run('list-tags', '--tls-verify=false', repo)) as {
      Tags: string[];
    };
    expect(listed.Tags).toEqual(['a', 'b']);
    await run('delete', '--tls-verify=false', `${repo}:a`);
    expect((await attempt('inspect', '--tls-verify=false', `${repo}:a`)).code).not.toBe(0);
  });

  test('is refused by the mirror with the address to push to', async () => {
    const { code, stderr } = await attempt(
      'copy',
      ...insecure,
      `docker://${lab.source}/source/image:1`,
      `docker://${lab.mirror.host}/skopeo/refused:1`,
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain(lab.push.url);
  });

  test('pulls an upstream image and an upstream index through the mirror', async () => {
    await copy(`docker://${lab.mirror.host}/source/image:1`, `dir:${makeTempFolder('skopeo')}`);
    const index = `docker://${lab.mirror.host}/source/index:1`;
    await copy(index, `oci:${makeTempFolder('skopeo')}:1`, '--all');
  });
});
