import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { containersProgram } from '../../support/containers-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage } from '../../support/registry-client.ts';

describeWithTools(['buildah', 'registry'], 'buildah', () => {
  const { home, attempt, run } = containersProgram('buildah');
  const insecure = '--tls-verify=false';
  const servers = new OwnedServers();
  let lab: ClientLab;

  beforeAll(async () => {
    lab = await startClientLab(servers);
  });
  afterAll(() => servers.stopAll());

  test('pushes what it built step by step and builds on it from either role', async () => {
    const pushed = await buildFrom('scratch', `${lab.push.host}/buildah/base:1`);
    const digest = await push(pushed);
    for (const [position, { host }] of [lab.push, lab.mirror].entries()) {
      const base = `${host}/buildah/base@${digest}`;
      const derived = await buildFrom(base, `${lab.push.host}/buildah/derived:${position}`);
      await push(derived);
      for (const { url } of [lab.push, lab.mirror]) {
        const { bytes } = await pullImage(url, 'buildah/derived', String(position));
        expect((JSON.parse(bytes.toString()) as { layers: unknown[] }).layers).toHaveLength(2);
      }
    }
  });

  test('pushes an image of the docker format', async () => {
    const image = await buildFrom('scratch', `${lab.push.host}/buildah/docker:1`);
    await push(image, '--format=v2s2');
    const { mediaType } = await pullImage(lab.mirror.url, 'buildah/docker', '1');
    expect(mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
  });

  test('puts a manifest list together of images that are in the registry', async () => {
    const children: string[] = [];
    for (const arch of ['amd64', 'arm64']) {
      const child = await buildFrom('scratch', `${lab.push.host}/buildah/list:${arch}`);
      children.push(await push(child));
    }
    const list = `${lab.push.host}/buildah/list:all`;
    await run('manifest', 'create', list);
    for (const [arch, digest] of [
      ['amd64', children[0]!],
      ['arm64', children[1]!],
    ] as const) {
      const child = `docker://${lab.mirror.host}/buildah/list@${digest}`;
      await run('manifest', 'add', insecure, '--arch', arch, list, child);
    }
    await run('manifest', 'push', insecure, '--all', list, `docker://${list}`);
    for (const { url } of [lab.push, lab.mirror]) {
      const { bytes } = await pullImage(url, 'buildah/list', 'all');
      const { manifests } = JSON.parse(bytes.toString()) as { manifests: { digest: string }[] };
      expect(manifests.map(({ digest }) => digest)).toEqual(children);
    }
  });

  test('is refused by the mirror with the address to push to', async () => {
    const image = await buildFrom('scratch', `${lab.mirror.host}/buildah/refused:1`);
    const { code, stderr } = await attempt('push', insecure, image);
    expect(code).not.toBe(0);
    expect(stderr).toContain(lab.push.url);
  });

  /** A working container of `base` with one new file in it, committed as `image`. */
  async function buildFrom(base: string, image: string): Promise<string> {
    const file = path.join(home, 'file');
    writeFileSync(file, randomBytes(50_000));
    const container = await run('from', insecure, base);
    await run('copy', container, file, `/file-${Date.now()}`);
    await run('commit', '--rm', container, image);
    return image;
  }

  async function push(image: string, ...flags: readonly string[]): Promise<string> {
    const file = path.join(home, 'digest');
    await run('push', insecure, '--digestfile', file, ...flags, image);
    return await readFile(file, 'utf8');
  }
});
