import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import { testUpstream } from '../../shared/config/testing/test-upstream.ts';
import { MirrorNames } from '../../shared/content/mirror-names.ts';
import { Projects } from '../../shared/content/projects.ts';
import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { parseRepositoryName } from '../../shared/oci/reference.ts';
import { placeAtMirror, placeOfStoredAtMirror } from './place-at-mirror.ts';

const { signal } = new AbortController();
const hub = testUpstream();
const shared = testUpstream({
  project: 'firm',
  url: 'https://registry.firm.example',
  hosts: ['registry.firm.example'],
  private: 'shared',
});
const partner = testUpstream({
  project: 'partner',
  url: 'https://registry.partner.example',
  hosts: ['registry.partner.example'],
  private: 'pass-through',
});
/** Its name is that of a project that was pushed to. */
const taken = testUpstream({ ...partner, project: 'taken', hosts: ['taken.example'] });
const team = {
  schemaVersion: 1,
  name: 'team',
  createdAt: '2026-01-01T00:00:00.000Z',
  visibility: 'private',
} as const;
/** Made by a push: its bare name means Docker Hub. */
const bobs = { ...team, name: 'bobs', createdBy: 'local:bob' } as const;
const partners = {
  ...team,
  name: 'partner',
  upstream: { url: partner.url, isConfigured: true },
} as const;
/** Found in the store of another registry: here its bare name means an upstream. */
const shadowed = { ...team, name: 'registry.firm.example' } as const;

let store: TempStore;
beforeAll(async () => {
  store = await createTempStore();
  for (const project of [team, bobs, partners, { ...team, name: 'taken' }, shadowed])
    await store.index.projects.put(project, signal);
});
afterAll(() => store.remove());

const public_ = { kind: 'upstream', isShared: false };
const ofReaders = { kind: 'upstream', isShared: true };
const ofTeam = { kind: 'project', project: team, isFree: false };
const absent = { kind: 'project', project: undefined, isFree: false };

function namesOver(projects: Projects): MirrorNames<UpstreamConfig> {
  return new MirrorNames({
    upstreams: [hub, shared, partner, taken],
    defaultUpstream: hub,
    projects,
    origins: store.index.origins,
    publicHosts: [],
    permits: () => true,
    rootProjects: [],
  });
}

test.each([
  ['library/redis', public_],
  ['bitnami/redis', public_],
  ['mirror/library/redis', public_],
  ['docker.io/library/redis', public_],
  ['firm/app', ofReaders],
  ['registry.firm.example/app', ofReaders],
  ['team/app', ofTeam],
  ['local/team/app', ofTeam],
  ['partner/app', { ...ofTeam, project: partners }],
  ['registry.partner.example/app', { ...ofTeam, project: partners }],
  ['taken/app', absent],
  ['local/other/app', absent],
  ['local', absent],
])('rights to %s at the mirror are those of %j', async (name, expected) => {
  const projects = new Projects({ ...store.index, records: store.records, clock: systemClock });
  const names = namesOver(projects);
  expect(await placeAtMirror(names, projects)(parseRepositoryName(name)!, signal)).toEqual(
    expected,
  );
});

test.each([
  ['mirror/library/redis', public_],
  ['firm/app', ofReaders],
  ['team/app', ofTeam],
  ['bobs/app', { ...ofTeam, project: bobs }],
  ['registry.firm.example/app', { ...ofTeam, project: shadowed }],
  ['library/redis', absent],
  ['local/team/app', absent],
])('the stored repository %s belongs to %j, whatever the name means', async (name, expected) => {
  const projects = new Projects({ ...store.index, records: store.records, clock: systemClock });
  const names = namesOver(projects);
  const placeOf = placeOfStoredAtMirror(names, projects);
  expect(await placeOf(parseRepositoryName(name)!, signal)).toEqual(expected);
});
