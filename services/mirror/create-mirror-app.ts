import type { ByteBudget } from '../../shared/concurrency/byte-budget.ts';
import { within } from '../../shared/concurrency/within.ts';
import type { MirrorConfig } from '../../shared/config/config.ts';
import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import type { ContentSource } from '../../shared/content/content-source.ts';
import { BlockedContent } from '../../shared/content/blocks/blocked-content.ts';
import { BlockList } from '../../shared/content/blocks/block-list.ts';
import { damageReporter } from '../../shared/content/damage.ts';
import { HeldContent } from '../../shared/content/held-content.ts';
import { LastUse } from '../../shared/content/last-use.ts';
import { LocalContent } from '../../shared/content/local-content.ts';
import { ManifestStore } from '../../shared/content/manifest-store.ts';
import { MirrorNames } from '../../shared/content/mirror-names.ts';
import { Projects } from '../../shared/content/projects.ts';
import { shadowedProjects } from '../../shared/content/reserved-names.ts';
import { publishedProjects, publishUpstreams } from '../../shared/content/upstream-table.ts';
import type { ApiRoute } from '../../shared/http/api-route.ts';
import type { Leases } from '../../shared/index/ports.ts';
import { createV2App } from '../../shared/http/create-v2-app.ts';
import { createPullHandlers } from '../../shared/http/pull-handlers.ts';
import type { WarmSource } from '../../shared/content/warm/warm-image.ts';
import type { WarmEntry } from '../../shared/content/warm/warm-list.ts';
import type { Platform, RoleApp } from '../platform.ts';
import { BackgroundTasks } from './background-tasks.ts';
import { BlobFills } from './blob-fills.ts';
import { BlobPull } from './blob-pull.ts';
import { Completion } from './completion.ts';
import { ConfirmationRecords } from './confirmation-records.ts';
import { createCacheUpkeep } from './eviction/create-cache-upkeep.ts';
import { createExplainRoute } from './explain/explain-route.ts';
import { forgetCached } from './forget-cached.ts';
import { FillRegistry } from './fill/fill-registry.ts';
import type { Joins } from './fill/joint-source.ts';
import { Spool } from './fill/spool.ts';
import { TagFreshness, tagTerms, type TagTerms } from './freshness.ts';
import { KnownAbsent } from './known-absent.ts';
import { ManifestFetch } from './manifest-fetch.ts';
import { ManifestPull } from './manifest-pull.ts';
import { MirroredContent } from './mirrored-content.ts';
import { joinReplicas } from './peers/join-replicas.ts';
import { RepositoryPolicy } from './repository-policy.ts';
import { createRefusePush } from './refuse-push.ts';
import { Standings } from './standings.ts';
import { TagPull } from './tag-pull.ts';
import { UpstreamConnections } from './upstream/upstream-connections.ts';
import { UpstreamDiscovery } from './upstream-discovery.ts';
import { withUpstreamPrefix } from './upstream-prefix.ts';
import { Verdicts } from './verdict.ts';
import { warmOnSchedule } from './warm/warm-on-schedule.ts';
import { warmSource } from './warm/warm-source.ts';

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
  config: MirrorConfig,
  { spoolRoom, programLeases }: ProgramParts,
): RoleApp {
  const { records, index, clock, shutdown } = shared;
  const stop = new AbortController();
  const lifetime = AbortSignal.any([shutdown, stop.signal]);
  const { upstreams } = config;
  const blocks = new BlockList(records, clock, lifetime);
  const cache = createCacheUpkeep(shared, config);
  const lastUse = new LastUse({ ...shared, origins: index.origins });
  const platform = {
    ...shared,
    blobs: blocks.guarding(cache?.counting(shared.blobs) ?? shared.blobs),
  };
  const { hints } = index;
  const connections = new UpstreamConnections({
    ...platform,
    upstreams,
    proxies: config.proxies,
    hints,
    lifetime,
  });
  const background = new BackgroundTasks(platform.log);
  const fills = new FillRegistry();
  const spool = new Spool(config.spoolDir, spoolRoom, clock);
  const replicas = joinReplicas(platform, config, { fills, programLeases, lifetime });
  const projects = new Projects({ ...index, records, clock });
  const { content, completion, keepWarm, explain } = createContent(platform, config, {
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
  const app = createV2App({
    ...platform,
    refuse: createRefusePush(config.pushPublicUrl),
    routes: new Map([['/api/v1/explain', explain]]),
    handlers: createPullHandlers(content, (signal) => index.catalog.repositories(signal)),
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
      // Adopted before the name is published as an upstream's: from then on nobody looks for other content under it.
      const published = await publishedProjects(records, lifetime);
      const shadowed = shadowedProjects(await projects.adoptAll(published, lifetime), upstreams);
      if (shadowed.length > 0) {
        platform.log.warn(
          { projects: shadowed },
          'the store holds projects with names that mean an upstream at this mirror: here they are pulled as local/<name>',
        );
      }
      withdraw = await publishUpstreams(records, upstreams, clock, lifetime);
      upkeep = Promise.all([lastUse.run(lifetime), cache?.run(lifetime)]);
      warming = keepWarm(AbortSignal.any([lifetime, stopWarming.signal]));
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

interface ContentParts {
  readonly projects: Projects;
  readonly connections: UpstreamConnections;
  readonly background: BackgroundTasks;
  readonly fills: FillRegistry;
  readonly joins: Joins | undefined;
  readonly spool: Spool;
  readonly lifetime: AbortSignal;
  readonly blocks: BlockList;
  readonly lastUse: LastUse;
}

interface CreatedContent {
  readonly content: ContentSource;
  readonly completion: Completion;
  /** Resolves when the signal aborts. */
  readonly keepWarm: (signal: AbortSignal) => Promise<void>;
  readonly explain: ApiRoute;
}

function createContent(
  platform: Platform,
  config: MirrorConfig,
  parts: ContentParts,
): CreatedContent {
  const { blobs, index, clock } = platform;
  const { origins, catalog, tags, members, leases, hints } = index;
  const { connections } = parts;
  const onDamage = damageReporter(platform);
  const manifests = new ManifestStore(blobs, index, onDamage, config.memoryCacheBytes / 2);
  const local = new LocalContent({ ...platform, ...parts, manifests, onDamage });
  const policy = new RepositoryPolicy(config.upstreams);
  const names = new MirrorNames({
    upstreams: config.upstreams,
    defaultUpstream: config.defaultUpstream,
    projects: parts.projects,
    origins,
    publicHosts: config.publicHosts,
    permits: (upstream, repository) => policy.permits(upstream, repository),
    rootProjects: config.localProjects,
  });
  const standings = new Standings({
    ...parts,
    origins,
    catalog,
    clock,
    forget: (repository, signal) =>
      forgetCached(repository, { records: platform.records, tags, members }, signal),
  });
  const verdicts = new Verdicts({ ...parts, standings, clock });
  const terms = (upstream: UpstreamConfig): TagTerms =>
    tagTerms(upstream, connections.to(upstream).ttlStretch());
  const freshness = new TagFreshness({
    ...parts,
    hints,
    clock,
    terms,
    confirmations: new ConfirmationRecords(platform.records),
  });
  const fetch = new ManifestFetch({ ...platform, ...parts, manifests, verdicts, leases });
  const tagPull = new TagPull({ ...parts, local, tags, verdicts, freshness, clock, terms }, fetch);
  const absent = new KnownAbsent(clock);
  const manifestPull = new ManifestPull({
    ...platform,
    ...parts,
    local,
    verdicts,
    fetch,
    tagPull,
    freshness,
    absent,
  });
  const fills = new BlobFills({ ...platform, ...parts, local, members, verdicts });
  const blobPull = new BlobPull({ ...platform, local, members, verdicts, fills });
  const held = new HeldContent(members, manifests);
  const pulls = { local, manifests: manifestPull, blobs: blobPull, held };
  const completion = new Completion({ ...platform, ...parts, ...pulls });
  const discovery = new UpstreamDiscovery({ ...platform, ...parts, local, verdicts });
  const mirrored = new MirroredContent({ ...pulls, names, discovery, completion });
  const content = new BlockedContent(mirrored, parts.blocks, async (requested, signal) => {
    const meaning = await names.resolve(requested, signal);
    if (meaning.kind === 'local') return meaning.repository;
    return meaning.kind === 'upstream' ? meaning.cached : undefined;
  });
  const { warm } = config;
  const keepWarm = async (signal: AbortSignal): Promise<void> => {
    if (!warm) return;
    const sourceOf = ({ image }: WarmEntry, stop: AbortSignal): Promise<WarmSource | undefined> =>
      warmSource(image, { ...pulls, names }, stop);
    await warmOnSchedule(warm, { ...platform, leases, hints, sourceOf }, signal);
  };
  const known = { names, local, held, standings, freshness, terms };
  const explain = createExplainRoute({ ...known, connections, clock });
  return { content, completion, keepWarm, explain };
}

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
