import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { clientProgram } from '../../support/client-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage, makeIndex } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage, pushIndex } from '../../support/registry-client.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

describeWithTools(['crane', 'registry'], 'crane', () => {
  const image = makeImage({ layerBytes: [200_000, 10] });
  const index = makeIndex(['amd64', 'arm64']);
  const { attempt, run } = clientProgram('crane');
  const servers = new OwnedServers();
  let lab: ClientLab;

  beforeAll(async () => {
    lab = await startClientLab(servers);
    await pushImage(lab.upstream.directUrl, 'source/image', '1', image);
    await pushIndex(lab.upstream.directUrl, 'source/index', '1', index);
  });
  afterAll(() => servers.stopAll());

  test('copies an image in; both roles serve it whole', async () => {
    await run('copy', `${lab.source}/source/image:1`, `${lab.push.host}/crane/image:1`);
    for (const host of lab.hosts) {
      expect(await run('digest', `${host}/crane/image:1`)).toBe(image.manifest.digest);
      await run('validate', '--remote', `${host}/crane/image:1`);
      await run('validate', '--remote', `${host}/crane/image@${image.manifest.digest}`);
    }
  });

  test('copies a multi-platform image in and finds each platform', async () => {
    await run('copy', `${lab.source}/source/index:1`, `${lab.push.host}/crane/index:1`);
    for (const host of lab.hosts) {
      expect(await run('digest', `${host}/crane/index:1`)).toBe(index.manifest.digest);
      expect(await run('digest', '--platform', 'linux/arm64', `${host}/crane/index:1`)).toBe(
        index.images[1]!.manifest.digest,
      );
      await run('validate', '--remote', `${host}/crane/index:1`);
    }
  });

  test('pulls an image into a file from the mirror and pushes the file', async () => {
    await run('copy', `${lab.source}/source/image:1`, `${lab.push.host}/crane/file:1`);
    const file = path.join(makeTempFolder('crane'), 'image.tar');
    await run('pull', `${lab.mirror.host}/crane/file:1`, file);
    await run('push', file, `${lab.push.host}/crane/from-file:1`);
    await run('validate', '--remote', `${lab.mirror.host}/crane/from-file:1`);
  });

  test('mounts the layers of a repository beside', async () => {
    await run('copy', `${lab.source}/source/image:1`, `${lab.push.host}/crane/whole:1`);
    const [from, to] = [`${lab.push.host}/crane/whole:1`, `${lab.push.host}/crane/mounted:1`];
    const { code, stderr } = await attempt('copy', from, to);
    expect(code).toBe(0);
    expect(stderr).toContain('mounted blob');
    expect(stderr).not.toContain('pushed blob');
    await run('validate', '--remote', `${lab.mirror.host}/crane/mounted:1`);
  });

  test('sends nothing again that is there already', async () => {
    const target = `${lab.push.host}/crane/again:1`;
    await run('copy', `${lab.source}/source/image:1`, target);
    const { code, stderr } = await attempt('copy', `${lab.source}/source/image:1`, target);
    expect(code).toBe(0);
    expect(stderr).toContain('existing manifest');
    expect(stderr).not.toContain('pushed blob');
  });

  test('moves latest on to a changed image; the old one stays under its digest', async () => {
    const latest = `${lab.push.host}/crane/moving`;
    await run('copy', `${lab.source}/source/image:1`, latest);
    await run('mutate', latest, '--label', 'version=2', '--tag', latest);
    for (const host of lab.hosts) {
      const moved = await run('digest', `${host}/crane/moving`);
      expect(moved).not.toBe(image.manifest.digest);
      await run('validate', '--remote', `${host}/crane/moving@${image.manifest.digest}`);
      expect(await run('ls', `${host}/crane/moving`)).toBe('latest');
    }
  });

  test('tags, lists tags and repositories, and deletes', async () => {
    await run('copy', `${lab.source}/source/image:1`, `${lab.push.host}/crane/listed:a`);
    await run('tag', `${lab.push.host}/crane/listed:a`, 'b');
    for (const host of lab.hosts) expect(await run('ls', `${host}/crane/listed`)).toBe('a\nb');
    expect((await run('catalog', lab.push.host)).split('\n')).toContain('crane/listed');

    await run('delete', `${lab.push.host}/crane/listed:b`);
    expect(await run('ls', `${lab.push.host}/crane/listed`)).toBe('a');
    await run('delete', `${lab.push.host}/crane/listed@${image.manifest.digest}`);
    for (const host of lab.hosts) {
      const { code, stderr } = await attempt('manifest', `${host}/crane/listed:a`);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/MANIFEST_UNKNOWN|404/);
    }
  });

  test('is refused by the mirror with the address to push to', async () => {
    const { code, stderr } = await attempt(
      'copy',
      `${lab.source}/source/image:1`,
      `${lab.mirror.host}/crane/refused:1`,
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain('UNSUPPORTED');
    expect(stderr).toContain(lab.push.url);
  });

  test('pulls an upstream image and an upstream index through the mirror', async () => {
    await run('validate', '--remote', `${lab.mirror.host}/source/image:1`);
    await run('validate', '--remote', `${lab.mirror.host}/source/index:1`);
    expect(await run('digest', `${lab.mirror.host}/source/index:1`)).toBe(index.manifest.digest);
  });
});
