import { randomUUID } from 'node:crypto';

import type { ByteBudget } from '../../shared/concurrency/byte-budget.ts';
import { within } from '../../shared/concurrency/within.ts';
import type { MirrorConfig } from '../../shared/config/config.ts';
import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import { BlockList } from '../../shared/content/blocks/block-list.ts';
import { LastUse } from '../../shared/content/last-use.ts';
import type { MirrorNames } from '../../shared/content/mirror-names.ts';
import { Projects } from '../../shared/content/projects.ts';
import { shadowedProjects } from '../../shared/content/reserved-names.ts';
import {
  publishedProjects,
  publishUpstream,
  publishUpstreams,
} from '../../shared/content/upstream-table.ts';
import type { Leases, ProjectIndex, ProjectRecord } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import { createV2App } from '../../shared/http/create-v2-app.ts';
import { createPullHandlers } from '../../shared/http/pull-handlers.ts';
import type { Platform, RoleApp } from '../platform/platform.ts';
import { type ProjectAccess, projectAccess } from '../identities/project-rights.ts';
import { roleIdentities, type RoleIdentities } from '../platform/role-identities.ts';
import { accessName } from './access-name.ts';
import { createMirroredContent } from './create-mirrored-content.ts';
import { BackgroundTasks } from './background-tasks.ts';
import { createCacheUpkeep } from './eviction/create-cache-upkeep.ts';
import { FillRegistry } from './fill/fill-registry.ts';
import { Spool } from './fill/spool.ts';
import { joinReplicas } from './peers/join-replicas.ts';
import { mirrorApi } from './mirror-api.ts';
import { LiveUpstreams } from './live-upstreams.ts';
import { placeAtMirror, placeOfStoredAtMirror } from './place-at-mirror.ts';
import { createRefusePush } from './refuse-push.ts';
import { SharedUpstreamPolicy } from './shared-upstream-policy.ts';
import { UpstreamConnections } from './upstream/upstream-connections.ts';
import { withUpstreamPrefix } from './upstream-prefix.ts';

/** What the processes of this program share. */
export interface ProgramParts {
  readonly spoolRoom: ByteBudget;
  /** Undefined where it is one process. */
  readonly programLeases: Leases | undefined;
}

/** How long running downloads may go on at the end: what they leave unfinished is fetched again. */
const CLOSE_MS = 3_000;

/**
 * The mirror: whatever was pushed to this store, and images of upstreams, fetched once and kept. It starts and serves
 * what it holds without any upstream.
 */
export function createMirrorApp(
  shared: Platform,
  configured: MirrorConfig,
  { spoolRoom, programLeases }: ProgramParts,
): RoleApp {
  const { records, index, clock, shutdown } = shared;
  const stop = new AbortController();
  const lifetime = AbortSignal.any([shutdown, stop.signal]);
  const live = new LiveUpstreams({ ...shared, ...index, configured: configured.upstreams });
  const upstreams = live.all;
  const config = { ...configured, upstreams };
  const blocks = new BlockList(records, clock, lifetime);
  const cache = createCacheUpkeep(shared, config);
  const lastUse = new LastUse({ ...shared, origins: index.origins });
  const platform = {
    ...shared,
    blobs: blocks.guarding(cache?.counting(shared.blobs) ?? shared.blobs),
  };
  const { hints } = index;
  const connections = new UpstreamConnections({ ...platform, ...config, hints, blocks, lifetime });
  const background = new BackgroundTasks(platform.log);
  const fills = new FillRegistry();
  const spool = new Spool(config.spoolDir, spoolRoom, clock);
  const replicas = joinReplicas(platform, config, { fills, programLeases, lifetime });
  const adoptsAtStartAlone = platform.projectRights !== undefined;
  const projects = new Projects({ ...index, records, clock, adoptsAtStartAlone });
  const created = createMirroredContent(platform, config, {
    projects,
    connections,
    background,
    fills,
    joins: replicas.joins,
    spool,
    lifetime,
    blocks,
    lastUse,
  });
  const { content, completion, keepWarm, explain, names } = created;
  const rights = mirrorRights(platform, names, projects);
  const identities = mirrorIdentities(platform, names, rights);
  const { api, started } = mirrorApi(platform, () => connections.degraded());
  const app = createV2App({
    ...platform,
    ...identities,
    api,
    refuse: createRefusePush(config.pushPublicUrl),
    routes: new Map([['/api/v1/explain', explain], ...identities.routes]),
    accessName: (pulled) => accessName(pulled, config),
    handlers: createPullHandlers(content, (signal) => index.catalog.repositories(signal), rights),
  });

  let upkeep: Promise<unknown> = Promise.resolve();
  let withdraw = (): Promise<void> => Promise.resolve();
  const stopWarming = new AbortController();
  let warming: Promise<void> = Promise.resolve();
  return {
    app: withUpstreamPrefix(app, upstreams),
    start: async () => {
      await openSpool(spool);
      await replicas.start();
      withdraw = await publishNames(platform, projects, configured.upstreams, lifetime);
      await live.look(lifetime);
      upkeep = Promise.all([lastUse.run(lifetime), cache?.run(lifetime), live.run(lifetime)]);
      warming = keepWarm(AbortSignal.any([lifetime, stopWarming.signal]));
      started();
    },
    degraded: () => Promise.resolve(connections.degraded()),
    close: async () => {
      stopWarming.abort(new Error('the mirror ends'));
      await Promise.all([completion.stop(), warming]);
      await within(Promise.all([fills.idle(), background.idle()]), CLOSE_MS, clock);
      stop.abort(new Error('the mirror ends'));
      await Promise.all([fills.idle(), background.idle(), withdraw(), upkeep]);
      await replicas.close();
      await connections.close();
      await spool.close();
    },
  };
}

/** Makes known which names mean upstreams here. Resolves with what takes that back. */
async function publishNames(
  { records, index, clock, log, projectRights }: Platform,
  projects: Projects,
  configured: readonly UpstreamConfig[],
  lifetime: AbortSignal,
): Promise<() => Promise<void>> {
  // Adopted before the name is published as an upstream's: from then on nobody looks for other content under it.
  const published = await publishedProjects(records, lifetime);
  const adopted = await projects.adoptAll(published, lifetime);
  const shadowed = shadowedProjects(adopted, configured);
  if (shadowed.length > 0) {
    log.warn(
      { projects: shadowed },
      'the store holds projects with names that mean an upstream at this mirror: here they are pulled as local/<name>',
    );
  }
  if (projectRights) await makeProjects(index.projects, configured, clock, lifetime);
  const withdraw = await publishUpstreams(records, configured, clock, lifetime);
  const known = [...published, ...configured.map(({ project }) => project)];
  await announceUpstreams(records, adopted, known, lifetime);
  return withdraw;
}

/** Those whose records say who may pull what is private at an upstream. Idempotent. */
async function makeProjects(
  projects: ProjectIndex,
  configured: readonly UpstreamConfig[],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (const { project: name, url, private: kind } of configured) {
    if (kind !== 'pass-through') continue;
    const createdAt = clock.now().toISOString();
    const upstream = { url, isConfigured: true } as const;
    await projects.create(
      { schemaVersion: 1, name, createdAt, id: randomUUID(), visibility: 'private', upstream },
      signal,
    );
  }
}

/** Projects that cache an upstream, where whoever made one died before he told so. */
async function announceUpstreams(
  records: RecordStore,
  projects: readonly ProjectRecord[],
  known: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const { name: project, upstream } of projects) {
    if (!upstream || upstream.isConfigured === true || known.includes(project)) continue;
    await publishUpstream(records, { hosts: [], ...upstream, project }, signal);
  }
}

const mirrorRights = (
  platform: Platform,
  names: MirrorNames<UpstreamConfig>,
  projects: Projects,
): ProjectAccess =>
  projectAccess(platform, {
    projectNow: (name, signal) => projects.anew(name, signal),
    placeOf: placeAtMirror(names, projects),
    placeOfStored: placeOfStoredAtMirror(names, projects),
  });

/** At a mirror names mean what its rules say. */
const mirrorIdentities = (
  platform: Platform,
  names: MirrorNames<UpstreamConfig>,
  { policy, projectOf }: ProjectAccess,
): RoleIdentities =>
  roleIdentities(platform, {
    role: 'mirror',
    // Where nobody can sign in, whoever reaches this mirror is a reader of it.
    policy: platform.identities ? new SharedUpstreamPolicy(policy, names) : policy,
    projectOf,
  });

async function openSpool(spool: Spool): Promise<void> {
  try {
    await spool.open();
  } catch (error) {
    throw new Error(
      'the folder for downloads on their way cannot be used: set SPOOL_DIR to a folder that can be written, ' +
        'on a local disk and with a short path',
      { cause: error },
    );
  }
}
