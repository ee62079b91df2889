import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { clientProgram } from '../../support/client-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage, makeIndex } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage, pushImage, pushIndex } from '../../support/registry-client.ts';

describeWithTools(['regctl', 'registry'], 'regctl', () => {
  const image = makeImage({ layerBytes: [200_000, 10] });
  const index = makeIndex(['amd64', 'arm64']);
  const { home, attempt, run } = clientProgram('regctl');
  const servers = new OwnedServers();
  let lab: ClientLab;

  const put = async (content: string, ...flags: readonly string[]): Promise<void> => {
    const file = path.join(home, 'artifact');
    writeFileSync(file, content);
    await run('artifact', 'put', '--file', file, '--file-media-type', 'text/plain', ...flags);
  };
  /** The artifact types of what refers to an image, as `artifact list` shows them. */
  const referrersOf = async (reference: string): Promise<string[]> => {
    const format = '{{range .Descriptors}}{{println .ArtifactType}}{{end}}';
    const listed = await run('artifact', 'list', reference, '--format', format);
    return listed.split('\n').filter(Boolean).sort();
  };

  beforeAll(async () => {
    lab = await startClientLab(servers);
    for (const host of [lab.source, ...lab.hosts]) {
      await run('registry', 'set', '--skip-check', '--tls=disabled', host);
    }
    await pushImage(lab.upstream.directUrl, 'source/image', '1', image);
    await pushIndex(lab.upstream.directUrl, 'source/index', '1', index);
  });
  afterAll(() => servers.stopAll());

  test('copies images and indexes in; both roles serve them by tag and by digest', async () => {
    for (const [kind, { digest }] of [
      ['image', image.manifest],
      ['index', index.manifest],
    ] as const) {
      await run('image', 'copy', `${lab.source}/source/${kind}:1`, `${lab.push.host}/reg/${kind}`);
      for (const host of lab.hosts) {
        expect(await run('manifest', 'head', `${host}/reg/${kind}`)).toBe(digest);
        const whole = `ocidir://${home}/${kind}-${host.replace(':', '-')}`;
        await run('image', 'copy', `${host}/reg/${kind}@${digest}`, whole);
      }
    }
  });

  test('copies from one repository into another by mounting, and nothing twice', async () => {
    await run('image', 'copy', `${lab.source}/source/index:1`, `${lab.push.host}/reg/whole:1`);
    const copy = ['image', 'copy', `${lab.push.host}/reg/whole:1`, `${lab.push.host}/reg/beside:1`];
    for (const round of [copy, copy]) await run(...round);
    await run(...copy, '--force-recursive');
    for (const { manifest } of index.images)
      await pullImage(lab.mirror.url, 'reg/beside', manifest.digest);
  });

  test('sends a layer in chunks', async () => {
    const chunked = clientProgram('regctl');
    await chunked.run(
      ...['registry', 'set', '--skip-check', '--tls=disabled'],
      ...['--blob-max=65536', '--blob-chunk=65536', lab.push.host],
    );
    const layer = path.join(home, 'layer.tar');
    await chunked.run('registry', 'set', '--skip-check', '--tls=disabled', lab.source);
    const target = `${lab.push.host}/reg/chunked:1`;
    await chunked.run('image', 'copy', `${lab.source}/source/image:1`, target);
    writeFileSync(layer, randomBytes(500_001));
    await chunked.run('artifact', 'put', '--file', layer, `${lab.push.host}/reg/chunked:file`);
    for (const tag of ['1', 'file']) await pullImage(lab.mirror.url, 'reg/chunked', tag);
    expect(lab.push.logs()).toContain('"method":"PATCH"');
  });

  test('puts an index together and takes a platform out again', async () => {
    const built = `${lab.push.host}/reg/built`;
    const [amd64, arm64] = index.images.map(({ manifest }) => manifest.digest);
    await run('image', 'copy', `${lab.source}/source/index:1`, `${built}:parts`);
    await run('index', 'create', `${built}:1`, '--digest', amd64!, '--desc-platform=linux/amd64');
    await run('index', 'add', `${built}:1`, '--digest', arm64!, '--desc-platform=linux/arm64');
    for (const host of lab.hosts) {
      const [repo, platform] = [`${host}/reg/built:1`, '--platform=linux/arm64'];
      expect(await run('manifest', 'head', platform, repo)).toBe(arm64);
    }
    await run('index', 'delete', `${built}:1`, '--platform=linux/amd64');
    expect(await run('manifest', 'get', '--format=raw-body', `${built}:1`)).not.toContain(amd64);
  });

  test('attaches artifacts to an image; both roles list, filter and serve them', async () => {
    const subject = `${lab.push.host}/reg/subject:1`;
    await run('image', 'copy', `${lab.source}/source/image:1`, subject);
    await put('a list', '--artifact-type=application/spdx+json', '--subject', subject);
    await put('a signature', '--artifact-type=application/vnd.example.sig', '--subject', subject);
    for (const host of lab.hosts) {
      const there = `${host}/reg/subject:1`;
      expect(await referrersOf(there)).toEqual([
        'application/spdx+json',
        'application/vnd.example.sig',
      ]);
      const filter = '--filter-artifact-type=application/spdx+json';
      expect(await run('artifact', 'get', '--subject', there, filter)).toBe('a list');
    }
    await run('image', 'copy', '--referrers', subject, `${lab.push.host}/reg/copied:1`);
    expect(await referrersOf(`${lab.mirror.host}/reg/copied:1`)).toHaveLength(2);
    expect(await run('tag', 'ls', `${lab.push.host}/reg/subject`)).toBe('1');
  });

  test('brings referrers from a registry that has them only under a tag; the tag is listed', async () => {
    const source = `${lab.source}/source/signed:1`;
    await run('image', 'copy', `${lab.source}/source/image:1`, source);
    await put('a signature', '--artifact-type=application/vnd.example.sig', '--subject', source);
    const fallback = image.manifest.digest.replace(':', '-');
    expect(await run('tag', 'ls', `${lab.source}/source/signed`)).toBe(`1\n${fallback}`);
    const target = `${lab.push.host}/reg/signed`;
    await run('image', 'copy', '--referrers', '--digest-tags', source, `${target}:1`);
    await run('image', 'copy', `${lab.source}/source/signed:${fallback}`, `${target}:${fallback}`);
    for (const host of lab.hosts) {
      expect(await referrersOf(`${host}/reg/signed:1`)).toEqual(['application/vnd.example.sig']);
      expect(await run('tag', 'ls', `${host}/reg/signed`)).toBe(`1\n${fallback}`);
    }
  });

  test('lists repositories in pages, deletes a tag alone and then the manifest', async () => {
    const repo = `${lab.push.host}/reg/zz-gone`;
    for (const tag of ['a', 'b'])
      await run('image', 'copy', `${lab.source}/source/image:1`, `${repo}:${tag}`);
    const listed = await run('repo', 'ls', '--last=reg/zz', '--limit=1', lab.push.host);
    expect(listed).toBe('reg/zz-gone');
    await run('tag', 'delete', `${repo}:a`);
    expect(await run('tag', 'ls', repo)).toBe('b');
    await run('manifest', 'delete', `${repo}@${image.manifest.digest}`);
    for (const host of lab.hosts) {
      const head = await attempt('manifest', 'head', `${host}/reg/zz-gone:b`);
      expect(head.code).not.toBe(0);
      expect(head.stderr).toContain('404');
    }
  });

  test('is refused by the mirror', async () => {
    const target = `${lab.mirror.host}/reg/refused:1`;
    const { code, stderr } = await attempt(
      ...['image', 'copy', `${lab.source}/source/image:1`, target],
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain('405');
  });

  test('pulls an upstream image and an upstream index through the mirror', async () => {
    for (const [kind, { digest }] of [
      ['image', image.manifest],
      ['index', index.manifest],
    ] as const) {
      const upstream = `${lab.mirror.host}/source/${kind}:1`;
      await run('image', 'copy', upstream, `ocidir://${home}/from-upstream-${kind}`);
      expect(await run('image', 'digest', `ocidir://${home}/from-upstream-${kind}`)).toBe(digest);
    }
  });
});
