import { writeFileSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { pullLabel, pushLabelled } from '../support/labelled-image.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import {
  launchDistribution,
  startUpstream,
  type UpstreamRegistry,
} from '../support/start-upstream.ts';
import { freePort } from '../support/free-port.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';

let upstream: UpstreamRegistry;

beforeAll(async () => {
  upstream = await startUpstream();
  for (const name of ['library/redis', 'library/hello', 'bitnami/redis', 'team/app', 'old/app']) {
    await pushLabelled(upstream.directUrl, name, '1', `hub ${name}`);
  }
});
afterAll(() => upstream.stop());

describe('over one store', () => {
  let dataDir: string;
  let push: TwinportProcess;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    dataDir = makeTempFolder('names');
    const env = { PUSH_PUBLIC_URL: 'http://push.example:5000' };
    const options = { storage: { dataDir }, upstreamUrl: upstream.url, env };
    mirror = await startTwinport({ role: 'mirror', ...options });
    push = await startTwinport({ role: 'push', ...options });
    await pushLabelled(push.url, 'team/app', '1', 'ours team/app');
    await pushLabelled(push.url, 'tool', '1', 'ours tool');
  });
  afterAll(async () => {
    await Promise.all([push.stop(), mirror.stop()]);
    await removeTempFolder(dataDir);
  });

  const upstreamHost = (): string => new URL(upstream.url).host;

  describe('the mirror', () => {
    test.each([
      ['team/app', 'push.example:5000', 'ours team/app'],
      ['library/redis', 'push.example:5000', 404],
      ['library/redis', 'docker.io', 'hub library/redis'],
      ['redis', 'docker.io', 'hub library/redis'],
      ['team/app', 'docker.io', 'hub team/app'],
      ['mirror/bitnami/redis', 'docker.io', 'hub bitnami/redis'],
      ['team/app', 'elsewhere.example', 404],
      ['mirror/library/redis', undefined, 'hub library/redis'],
      ['mirror/redis', undefined, 'hub library/redis'],
      ['docker.io/redis', undefined, 'hub library/redis'],
      ['index.docker.io/team/app', undefined, 'hub team/app'],
      ['local/team/app', undefined, 'ours team/app'],
      ['local/old/app', undefined, 404],
      ['team/app', undefined, 'ours team/app'],
      ['tool', undefined, 'ours tool'],
      ['team/nothing', undefined, 404],
      ['redis', undefined, 'hub library/redis'],
      ['library/redis', undefined, 'hub library/redis'],
      ['bitnami/redis', undefined, 'hub bitnami/redis'],
    ])('pulls %s with ns %s and gets %s', async (name, namespace, expected) => {
      expect(await pullLabel(mirror.url, name, '1', namespace)).toBe(expected);
    });

    test('knows the upstream by its own host', async () => {
      expect(await pullLabel(mirror.url, 'team/app', '1', upstreamHost())).toBe('hub team/app');
    });

    test('echoes the namespace it served', async () => {
      const answer = await fetch(`${mirror.url}/v2/library/redis/manifests/1?ns=docker.io`);
      expect(answer.headers.get('OCI-Namespace')).toBe('docker.io');
    });

    test('keeps one copy of all spellings', async () => {
      const repositories = path.join(dataDir, 'docker/registry/v2/repositories');
      expect((await readdir(repositories)).sort()).toEqual(['mirror', 'team', 'tool']);
      expect(await readdir(path.join(repositories, 'mirror/library'))).toEqual(['redis']);
    });

    test('never asks the upstream for a local project', async () => {
      upstream.resetCounts();
      expect(await pullLabel(mirror.url, 'team/app', 'nothing')).toBe(404);
      expect(await pullLabel(mirror.url, 'team/nothing', '1')).toBe(404);
      expect([...upstream.counts.keys()]).toEqual([]);
    });
  });

  describe('the push service', () => {
    test.each([
      ['team/app', undefined, 'ours team/app'],
      ['local/team/app', undefined, 'ours team/app'],
      ['team/app', 'push.example:5000', 'ours team/app'],
      ['mirror/library/redis', undefined, 'hub library/redis'],
      ['docker.io/redis', undefined, 'hub library/redis'],
      ['redis', 'docker.io', 'hub library/redis'],
      ['redis', undefined, 404],
      ['library/redis', undefined, 404],
      ['mirror/library/hello', undefined, 404],
      ['team/app', 'elsewhere.example', 404],
    ])('pulls %s with ns %s and gets %s', async (name, namespace, expected) => {
      expect(await pullLabel(push.url, name, '1', namespace)).toBe(expected);
    });

    test('names the mirror for an image that is not cached', async () => {
      const answer = await fetch(`${push.url}/v2/mirror/library/redis/manifests/nothing`);
      expect(answer.status).toBe(404);
      expect(await answer.text()).toMatch(/mirror/);
    });

    test.each(['library/hello', 'local/app', 'mirror/app', 'docker.io/app', 'any.host/app'])(
      'refuses a push to %s with the reason',
      async (name) => {
        await expect(pushLabelled(push.url, name, '1', 'taken')).rejects.toThrow(/403.*DENIED/);
      },
    );

    test('refuses a push to the host of the upstream that the mirror has published', async () => {
      const published = await startTwinport({ role: 'push', storage: { dataDir } });
      try {
        const host = upstreamHost().split(':')[0]!;
        await expect(pushLabelled(published.url, `${host}/app`, '1', 'taken')).rejects.toThrow(
          /403/,
        );
      } finally {
        await published.stop();
      }
    });
  });

  test('keeps a name local after everything under it was deleted', async () => {
    await pushLabelled(push.url, 'bitnami/app', '1', 'ours bitnami/app');
    expect(await pullLabel(mirror.url, 'bitnami/redis', '1')).toBe(404);
    const { headers } = await fetch(`${push.url}/v2/bitnami/app/manifests/1`);
    const digest = headers.get('Docker-Content-Digest')!;
    const gone = await fetch(`${push.url}/v2/bitnami/app/manifests/${digest}`, {
      method: 'DELETE',
    });
    expect(gone.status).toBe(202);
    expect(await pullLabel(mirror.url, 'bitnami/app', '1')).toBe(404);
    expect(await pullLabel(mirror.url, 'bitnami/redis', '1')).toBe(404);
    expect(await pullLabel(mirror.url, 'bitnami/redis', '1', 'docker.io')).toBe(
      'hub bitnami/redis',
    );
  });

  test('serves at the root path of a mirror only the projects that are approved', async () => {
    const strict = await startTwinport({
      role: 'mirror',
      storage: { dataDir },
      upstreamUrl: upstream.url,
      env: { MIRROR_LOCAL_PROJECTS: 'tool,other-*' },
    });
    try {
      expect(await pullLabel(strict.url, 'tool', '1')).toBe('ours tool');
      expect(await pullLabel(strict.url, 'team/app', '1')).toBe('hub team/app');
      expect(await pullLabel(strict.url, 'local/team/app', '1')).toBe('ours team/app');
    } finally {
      await strict.stop();
    }
  });

  test('refuses to start a mirror with another upstream beside a running one', async () => {
    await expect(
      startTwinport({ role: 'mirror', storage: { dataDir }, upstreamUrl: 'http://127.0.0.1:2' }),
    ).rejects.toThrow(/UPSTREAM_URL/);
  });
});

describe('a store that another registry wrote', () => {
  let folder: string;
  let dataDir: string;

  beforeAll(async () => {
    folder = makeTempFolder('adopted');
    dataDir = path.join(folder, 'data');
    const port = await freePort();
    const registry = await launchDistribution(folder, port);
    for (const name of ['old/app', 'library/redis', 'docker.io/team/app', 'my.host/app', 'plain']) {
      await pushLabelled(`http://127.0.0.1:${port}`, name, '1', `adopted ${name}`);
    }
    await registry.stop();
  });
  afterAll(() => removeTempFolder(folder));

  test('is served and pushed to at the push service under all its names', async () => {
    const push = await startTwinport({ role: 'push', storage: { dataDir } });
    try {
      for (const name of [
        'old/app',
        'library/redis',
        'docker.io/team/app',
        'my.host/app',
        'plain',
      ]) {
        expect(await pullLabel(push.url, name, '1')).toBe(`adopted ${name}`);
        await pushLabelled(push.url, name, '2', `new ${name}`);
        expect(await pullLabel(push.url, name, '2')).toBe(`new ${name}`);
      }
      const catalog = (await (await fetch(`${push.url}/v2/_catalog`)).json()) as object;
      expect(catalog).toEqual({
        repositories: ['docker.io/team/app', 'library/redis', 'my.host/app', 'old/app', 'plain'],
      });
    } finally {
      await push.stop();
    }
  });

  test('is served at the mirror, where an upstream wins its names and start-up says so', async () => {
    const mirror = await startTwinport({
      role: 'mirror',
      storage: { dataDir },
      upstreamUrl: upstream.url,
    });
    try {
      expect(await pullLabel(mirror.url, 'old/app', '1')).toBe('adopted old/app');
      expect(await pullLabel(mirror.url, 'plain', '1')).toBe('adopted plain');
      expect(await pullLabel(mirror.url, 'my.host/app', '1')).toBe('adopted my.host/app');
      expect(await pullLabel(mirror.url, 'library/redis', '1')).toBe('hub library/redis');
      expect(await pullLabel(mirror.url, 'docker.io/team/app', '1')).toBe('hub team/app');
      expect(await pullLabel(mirror.url, 'local/library/redis', '1')).toBe('adopted library/redis');
      expect(mirror.logs()).toMatch(/docker\.io.*library/);
    } finally {
      await mirror.stop();
    }
  });
});

test.each(['push', 'mirror'] as const)(
  'the %s role refuses the proxy cache of another registry and says what to run',
  async (role) => {
    const dataDir = makeTempFolder('proxy-cache');
    await mkdir(path.join(dataDir, 'docker/registry/v2/repositories'), { recursive: true });
    writeFileSync(path.join(dataDir, 'scheduler-state.json'), '{}');
    await expect(startTwinport({ role, storage: { dataDir } })).rejects.toThrow(
      /twinport adopt-cache/,
    );
    await removeTempFolder(dataDir);
  },
);
