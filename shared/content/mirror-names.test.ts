import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../lifecycle/clock.ts';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName, type RepositoryName } from '../oci/reference.ts';
import { MirrorNames } from './mirror-names.ts';
import { Projects } from './projects.ts';
import { createTempStore, type TempStore } from './testing/temp-store.ts';
import { DOCKER_HUB_PROJECT } from './upstream-entry.ts';

const hub = {
  project: DOCKER_HUB_PROJECT,
  url: 'https://registry-1.docker.io',
  hosts: ['docker.io', 'index.docker.io', 'registry-1.docker.io'],
};
const ghcr = { project: 'ghcr', url: 'https://ghcr.io', hosts: ['ghcr.io'] };
const signal = new AbortController().signal;
const digest = digestOf(Buffer.from('content'));

const repository = (name: string): RepositoryName => parseRepositoryName(name)!;

let store: TempStore;
let projects: Projects;

beforeEach(async () => {
  store = await createTempStore();
  projects = new Projects({ ...store.index, records: store.records, clock: systemClock });
});
afterEach(() => store.remove());

function names(rootProjects: string[] = [], upstreams = [hub, ghcr]): MirrorNames<typeof hub> {
  return new MirrorNames({
    upstreams,
    permits: (_, name) => name !== 'org/denied',
    defaultUpstream: hub,
    projects,
    origins: store.index.origins,
    publicHosts: ['push.example:5000'],
    rootProjects,
  });
}

/** One word for what a name means: `local:…`, `<project>:…` or `unknown`. */
async function meaning(name: string, namespace?: string, rootProjects?: string[]): Promise<string> {
  const found = await names(rootProjects).resolve({ name: repository(name), namespace }, signal);
  if (found.kind === 'unknown') return 'unknown';
  if (found.kind === 'refused') return `refused:${found.upstreamRepository}`;
  if (found.kind === 'local') return `local:${found.repository}`;
  expect(found.cached).toBe(`${found.upstream.project}/${found.upstreamRepository}`);
  return `${found.upstream.project}:${found.upstreamRepository}`;
}

describe('MirrorNames', () => {
  test.each([
    // 1. ns
    ['team/app', 'push.example:5000', 'local:team/app'],
    ['library/redis', 'push.example:5000', 'local:library/redis'],
    ['redis', 'push.example:5000', 'local:redis'],
    ['library/redis', 'docker.io', 'mirror:library/redis'],
    ['redis', 'docker.io', 'mirror:library/redis'],
    ['bitnami/redis', 'registry-1.docker.io', 'mirror:bitnami/redis'],
    ['mirror/library/redis', 'docker.io', 'mirror:library/redis'],
    ['docker.io/redis', 'docker.io', 'mirror:library/redis'],
    ['org/app', 'ghcr.io', 'ghcr:org/app'],
    ['ghcr.io/org/app', 'ghcr.io', 'ghcr:org/app'],
    ['app', 'ghcr.io', 'ghcr:app'],
    ['mirror/app', 'ghcr.io', 'ghcr:mirror/app'],
    ['org/app', 'GHCR.io', 'ghcr:org/app'],
    ['org/denied', 'ghcr.io', 'refused:org/denied'],
    ['org/denied', undefined, 'refused:org/denied'],
    ['org/app', 'elsewhere.example', 'unknown'],
    ['org/app', '127.0.0.1:22', 'unknown'],
    ['org/app', '', 'unknown'],
    // 2. an upstream's project or host
    ['mirror/library/redis', undefined, 'mirror:library/redis'],
    ['mirror/redis', undefined, 'mirror:library/redis'],
    ['docker.io/library/redis', undefined, 'mirror:library/redis'],
    ['docker.io/redis', undefined, 'mirror:library/redis'],
    ['ghcr.io/org/app', undefined, 'ghcr:org/app'],
    ['ghcr/org/app', undefined, 'ghcr:org/app'],
    ['mirror', undefined, 'unknown'],
    // 3. local
    ['local/team/app', undefined, 'local:team/app'],
    ['local/nowhere/app', undefined, 'local:nowhere/app'],
    ['local', undefined, 'unknown'],
    ['local/mirror/library/redis', undefined, 'unknown'],
    // 4. the default upstream
    ['redis', undefined, 'mirror:library/redis'],
    ['library/redis', undefined, 'mirror:library/redis'],
    ['bitnami/redis', undefined, 'mirror:bitnami/redis'],
    ['unknown.example/app', undefined, 'mirror:unknown.example/app'],
  ])('reads %s with ns %s as %s', async (name, namespace, expected) => {
    expect(await meaning(name, namespace)).toBe(expected);
  });

  test('serves a local project at the root path whatever it holds', async () => {
    await projects.ensure('team', signal);
    expect(await meaning('team/app')).toBe('local:team/app');
    expect(await meaning('team')).toBe('local:team');
    expect(await meaning('team/app', 'docker.io')).toBe('mirror:team/app');
  });

  test('keeps a name local after its content was deleted', async () => {
    await projects.ensure('team', signal);
    await store.index.members.add(repository('team/app'), 'blob', digest, signal);
    await store.index.members.remove(repository('team/app'), 'blob', digest, signal);
    projects = new Projects({ ...store.index, records: store.records, clock: systemClock });
    expect(await meaning('team/app')).toBe('local:team/app');
  });

  test('serves at the root path only the projects that were approved, and the others under local/', async () => {
    await projects.ensure('team-a', signal);
    await projects.ensure('other', signal);
    expect(await meaning('team-a/app', undefined, ['team-*'])).toBe('local:team-a/app');
    expect(await meaning('other/app', undefined, ['team-*'])).toBe('mirror:other/app');
    expect(await meaning('local/other/app', undefined, ['team-*'])).toBe('local:other/app');
  });

  test('adopts a first segment that holds repositories of another registry', async () => {
    await store.index.members.add(repository('old/app'), 'manifest', digest, signal);
    expect(await meaning('old/app')).toBe('local:old/app');
    expect((await store.index.projects.get('old', signal))?.adopted).toBe(true);
  });

  test('lets the upstream win over an adopted project with its name, and Docker Hub over library', async () => {
    await store.index.members.add(repository('library/redis'), 'manifest', digest, signal);
    await store.index.members.add(repository('ghcr.io/org/app'), 'manifest', digest, signal);
    expect(await meaning('library/redis')).toBe('mirror:library/redis');
    expect(await meaning('ghcr.io/org/app')).toBe('ghcr:org/app');
    expect(await meaning('local/library/redis')).toBe('local:library/redis');
    expect(await meaning('local/ghcr.io/org/app')).toBe('local:ghcr.io/org/app');
  });

  test('does not take cached repositories for a local project', async () => {
    await store.index.origins.put(
      repository('bitnami/redis'),
      { schemaVersion: 1, upstreamUrl: hub.url, upstreamRepository: 'x/y', verdict: 'public' },
      signal,
    );
    await store.index.members.add(repository('bitnami/redis'), 'manifest', digest, signal);
    expect(await meaning('bitnami/redis')).toBe('mirror:bitnami/redis');
  });

  test.each([
    ['public', hub.url, 'local:mirror/library/redis'],
    ['private', hub.url, 'unknown'],
    ['unknown', hub.url, 'unknown'],
    ['public', 'https://other.example', 'unknown'],
  ] as const)(
    'under our own host serves a %s cached repository of %s as %s',
    async (verdict, upstreamUrl, expected) => {
      const cached = repository('mirror/library/redis');
      const marker = {
        schemaVersion: 1,
        upstreamUrl,
        upstreamRepository: 'library/redis',
        verdict,
      } as const;
      await store.index.origins.put(cached, marker, signal);
      await store.index.members.add(cached, 'manifest', digest, signal);
      expect(await meaning('mirror/library/redis', 'push.example:5000')).toBe(expected);
      expect(await meaning('local/mirror/library/redis')).toBe(expected);
    },
  );

  test('serves a project under its bare name as the project says, else as is configured', async () => {
    const put = (name: string, more: object): Promise<void> =>
      store.index.projects.put(
        { schemaVersion: 1, name, createdAt: '2026-01-01T00:00:00.000Z', ...more },
        signal,
      );
    await put('plain', {});
    await put('approved', { createdBy: 'local:alice', rootPath: true });
    await put('hidden', { rootPath: false });
    await put('somebodys', { createdBy: 'local:alice' });
    const all = async (rootProjects: string[]): Promise<string[]> =>
      await Promise.all(
        ['plain', 'approved', 'hidden', 'somebodys'].map((name) =>
          meaning(`${name}/app`, undefined, rootProjects),
        ),
      );
    expect(await all([])).toEqual([
      'local:plain/app',
      'local:approved/app',
      'mirror:hidden/app',
      'mirror:somebodys/app',
    ]);
    expect(await all(['some*', 'hid*'])).toEqual([
      'mirror:plain/app',
      'local:approved/app',
      'mirror:hidden/app',
      'local:somebodys/app',
    ]);
  });
});
