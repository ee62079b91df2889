import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { Projects } from '../content/projects.ts';
import { createTempStore, type TempStore } from '../content/testing/temp-store.ts';
import { UpstreamTable } from '../content/upstream-table.ts';
import type { OriginMarker } from '../index/ports.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { placeAtPush, placeOfStoredAtPush } from './place-at-push.ts';

const { signal } = new AbortController();
const HUB = 'https://registry-1.docker.io';
const FIRM = 'https://registry.firm.example';
const PARTNER = 'https://registry.partner.example';
const upstreams = [
  { project: 'mirror', url: HUB, hosts: ['docker.io'] },
  { project: 'firm', url: FIRM, hosts: ['registry.firm.example'] },
  { project: 'partner', url: PARTNER, hosts: ['registry.partner.example'] },
];
const team = {
  schemaVersion: 1,
  name: 'team',
  createdAt: '2026-01-01T00:00:00.000Z',
  visibility: 'private',
} as const;
/** Caches another registry. */
const partner = { ...team, name: 'partner', upstream: { url: PARTNER } } as const;

/** What mirrors over the same store have cached, and what they found of it. */
const CACHED: Readonly<Record<string, Pick<OriginMarker, 'upstreamUrl' | 'verdict'>>> = {
  'mirror/library/redis': { upstreamUrl: HUB, verdict: 'public' },
  'mirror/org/hidden': { upstreamUrl: HUB, verdict: 'private' },
  'mirror/org/unproved': { upstreamUrl: HUB, verdict: 'unknown' },
  'mirror/org/former': { upstreamUrl: 'https://former.example', verdict: 'public' },
  'firm/app': { upstreamUrl: FIRM, verdict: 'shared' },
  'partner/app': { upstreamUrl: PARTNER, verdict: 'public' },
};

let store: TempStore;
let projects: Projects;
let table: UpstreamTable;

beforeAll(async () => {
  store = await createTempStore();
  for (const project of [team, partner]) await store.index.projects.put(project, signal);
  for (const [name, marker] of Object.entries(CACHED)) {
    const repository = parseRepositoryName(name)!;
    const upstreamRepository = name.slice(name.indexOf('/') + 1);
    const whole = { schemaVersion: 1, ...marker, upstreamRepository } as const;
    await store.index.origins.put(repository, whole, signal);
  }
  projects = new Projects({ ...store.index, records: store.records, clock: systemClock });
  table = new UpstreamTable(store.records, upstreams, systemClock);
});
afterAll(() => store.remove());

const PLACES = {
  everybody: { kind: 'upstream', isShared: false },
  'members of team': { kind: 'project', project: team, isFree: false },
  'members of partner': { kind: 'project', project: partner, isFree: false },
  nobody: { kind: 'project', project: undefined, isFree: false },
  'who may make projects': { kind: 'project', project: undefined, isFree: true },
};
type Whose = keyof typeof PLACES;

describe('a name on the path of the push service', () => {
  test.each<[string, Whose]>([
    ['team/app', 'members of team'],
    ['local/team/app', 'members of team'],
    ['other/app', 'who may make projects'],
    ['library/redis', 'nobody'],
    ['dotted.name/app', 'nobody'],
    ['local', 'nobody'],
    ['mirror/library/redis', 'everybody'],
    ['docker.io/library/redis', 'everybody'],
    ['partner/app', 'members of partner'],
    // As the management API asks for a project.
    ['partner', 'members of partner'],
    ['mirror', 'nobody'],
    ['registry.partner.example', 'nobody'],
    ['registry.partner.example/app', 'members of partner'],
  ])('%s is for %s', async (name, whose) => {
    const rules = { isDottedReserved: true };
    const placeOf = placeAtPush({ projects, upstreams: table, rules });
    expect(await placeOf(parseRepositoryName(name)!, signal)).toEqual(PLACES[whose]);
  });
});

describe('a repository of the store in a list of the push service', () => {
  test.each<[string, Whose]>([
    ['team/app', 'members of team'],
    ['mirror/library/redis', 'everybody'],
    ['partner/app', 'members of partner'],
    // What the push service does not serve it does not name either: it may be private at its upstream.
    ['mirror/org/hidden', 'nobody'],
    ['mirror/org/unproved', 'nobody'],
    ['mirror/org/former', 'nobody'],
    ['firm/app', 'nobody'],
    ['mirror/org/unmarked', 'nobody'],
    ['other/app', 'nobody'],
  ])('%s is shown to %s', async (name, whose) => {
    const placeOf = placeOfStoredAtPush({ projects, upstreams: table }, store.index.origins);
    expect(await placeOf(parseRepositoryName(name)!, signal)).toEqual(PLACES[whose]);
  });
});
