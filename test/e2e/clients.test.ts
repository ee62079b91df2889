import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { requireTool } from '../support/find-tool.ts';
import { makeImage, makeIndex } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pushImage, pushIndex } from '../support/registry-client.ts';
import { startTwinport } from '../support/registry-process.ts';
import type { TwinportProcess } from '../support/registry-process.ts';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { startUpstream } from '../support/start-upstream.ts';
import type { UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { ToolName } from '../support/tools.ts';

const image = makeImage({ layerBytes: [200_000, 10] });
const index = makeIndex(['amd64', 'arm64']);

/** The registry from which the clients bring images, and at the same time the mirror's upstream. */
const servers = new OwnedServers();
let upstream: UpstreamRegistry;
let push: TwinportProcess;
let mirror: TwinportProcess;
let source: string;

async function startServers(): Promise<void> {
  upstream = await servers.own(startUpstream());
  source = new URL(upstream.directUrl).host;
  const storage = { dataDir: makeTempFolder('data') };
  push = await servers.own(startTwinport({ role: 'push', storage, upstreamUrl: upstream.url }));
  mirror = await servers.own(
    startTwinport({
      role: 'mirror',
      storage,
      upstreamUrl: upstream.url,
      env: { PUSH_PUBLIC_URL: push.url },
    }),
  );
  await pushImage(upstream.directUrl, 'source/image', '1', image);
  await pushIndex(upstream.directUrl, 'source/index', '1', index);
}

describeWithTools(['crane', 'registry'], 'crane', () => {
  const { attempt, run } = client('crane');
  beforeAll(startServers);
  afterAll(() => servers.stopAll());

  test('copies an image in; both roles serve it whole', async () => {
    await run('copy', `${source}/source/image:1`, `${push.host}/crane/image:1`);
    for (const host of [push.host, mirror.host]) {
      expect(await run('digest', `${host}/crane/image:1`)).toBe(image.manifest.digest);
      await run('validate', '--remote', `${host}/crane/image:1`);
    }
  });

  test('copies a multi-platform image in and finds each platform', async () => {
    await run('copy', `${source}/source/index:1`, `${push.host}/crane/index:1`);
    for (const host of [push.host, mirror.host]) {
      expect(await run('digest', `${host}/crane/index:1`)).toBe(index.manifest.digest);
      expect(await run('digest', '--platform', 'linux/arm64', `${host}/crane/index:1`)).toBe(
        index.images[1]!.manifest.digest,
      );
      await run('validate', '--remote', `${host}/crane/index:1`);
    }
  });

  test('pulls an image into a file from the mirror and pushes the file', async () => {
    await run('copy', `${source}/source/image:1`, `${push.host}/crane/file:1`);
    const file = path.join(makeTempFolder('crane'), 'image.tar');
    await run('pull', `${mirror.host}/crane/file:1`, file);
    await run('push', file, `${push.host}/crane/from-file:1`);
    await run('validate', '--remote', `${mirror.host}/crane/from-file:1`);
  });

  test('tags, lists tags and repositories, and deletes', async () => {
    await run('copy', `${source}/source/image:1`, `${push.host}/crane/listed:a`);
    await run('tag', `${push.host}/crane/listed:a`, 'b');
    for (const host of [push.host, mirror.host])
      expect(await run('ls', `${host}/crane/listed`)).toBe('a\nb');
    expect((await run('catalog', push.host)).split('\n')).toContain('crane/listed');

    await run('delete', `${push.host}/crane/listed:b`);
    expect(await run('ls', `${push.host}/crane/listed`)).toBe('a');
    await run('delete', `${push.host}/crane/listed@${image.manifest.digest}`);
    for (const host of [push.host, mirror.host]) {
      const { code, stderr } = await attempt('manifest', `${host}/crane/listed:a`);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/MANIFEST_UNKNOWN|404/);
    }
  });

  test('is refused by the mirror with the address to push to', async () => {
    const { code, stderr } = await attempt(
      'copy',
      `${source}/source/image:1`,
      `${mirror.host}/crane/refused:1`,
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain('UNSUPPORTED');
    expect(stderr).toContain(push.url);
  });

  test('pulls an upstream image and an upstream index through the mirror', async () => {
    await run('validate', '--remote', `${mirror.host}/source/image:1`);
    await run('validate', '--remote', `${mirror.host}/source/index:1`);
    expect(await run('digest', `${mirror.host}/source/index:1`)).toBe(index.manifest.digest);
  });
});

describeWithTools(['skopeo', 'registry'], 'skopeo', () => {
  const { attempt, run } = client('skopeo');
  const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];
  const copy = (from: string, to: string, ...flags: readonly string[]): Promise<string> =>
    run('--insecure-policy', 'copy', ...insecure, ...flags, from, to);
  const digestAt = (name: string): Promise<string> =>
    run('inspect', '--tls-verify=false', '--format', '{{.Digest}}', name);
  beforeAll(startServers);
  afterAll(() => servers.stopAll());

  test('copies an image in; both roles serve it', async () => {
    await copy(`docker://${source}/source/image:1`, `docker://${push.host}/skopeo/image:1`);
    for (const host of [push.host, mirror.host]) {
      expect(await digestAt(`docker://${host}/skopeo/image:1`)).toBe(image.manifest.digest);
      await copy(`docker://${host}/skopeo/image:1`, `dir:${makeTempFolder('skopeo')}`);
    }
  });

  test('copies a multi-platform image in with every platform', async () => {
    await copy(
      `docker://${source}/source/index:1`,
      `docker://${push.host}/skopeo/index:1`,
      '--all',
    );
    for (const host of [push.host, mirror.host]) {
      const raw = await run(
        'inspect',
        '--raw',
        '--tls-verify=false',
        `docker://${host}/skopeo/index:1`,
      );
      expect(raw).toBe(index.manifest.bytes.toString('utf8'));
      await copy(`docker://${host}/skopeo/index:1`, `oci:${makeTempFolder('skopeo')}:1`, '--all');
    }
  });

  test('turns an image into the docker format on the way', async () => {
    const target = `docker://${push.host}/skopeo/docker:1`;
    await copy(`docker://${source}/source/image:1`, target, '--format=v2s2');
    const raw = JSON.parse(await run('inspect', '--raw', '--tls-verify=false', target)) as {
      mediaType: string;
    };
    expect(raw.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
  });

  test('lists tags and deletes', async () => {
    const repo = `docker://${push.host}/skopeo/listed`;
    for (const tag of ['a', 'b']) await copy(`docker://${source}/source/image:1`, `${repo}:${tag}`);
    const listed = JSON.parse(await run('list-tags', '--tls-verify=false', repo)) as {
      Tags: string[];
    };
    expect(listed.Tags).toEqual(['a', 'b']);
    await run('delete', '--tls-verify=false', `${repo}:a`);
    expect((await attempt('inspect', '--tls-verify=false', `${repo}:a`)).code).not.toBe(0);
  });

  test('is refused by the mirror with the address to push to', async () => {
    const { code, stderr } = await attempt(
      '--insecure-policy',
      'copy',
      ...insecure,
      `docker://${source}/source/image:1`,
      `docker://${mirror.host}/skopeo/refused:1`,
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain(push.url);
  });

  test('pulls an upstream image and an upstream index through the mirror', async () => {
    await copy(`docker://${mirror.host}/source/image:1`, `dir:${makeTempFolder('skopeo')}`);
    await copy(
      `docker://${mirror.host}/source/index:1`,
      `oci:${makeTempFolder('skopeo')}:1`,
      '--all',
    );
  });
});

interface Client {
  /** Runs the program to its end, whatever its exit code. */
  readonly attempt: (...args: readonly string[]) => Promise<CommandResult>;
  /** Runs it, expects success and answers what it printed. */
  readonly run: (...args: readonly string[]) => Promise<string>;
}

/** A program with a home of its own: no credentials and no settings of the person who runs the tests. */
function client(name: ToolName): Client {
  const home = makeTempFolder(name);
  const env = { PATH: process.env['PATH'], HOME: home, DOCKER_CONFIG: home, XDG_RUNTIME_DIR: home };
  const attempt = (...args: readonly string[]): Promise<CommandResult> =>
    runCommand(requireTool(name), args, { env });
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await attempt(...args);
    if (code !== 0)
      throw new Error(`${name} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
    return stdout.trim();
  };
  return { attempt, run };
}
