import type { MirrorConfig } from '../../shared/config/config.ts';
import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import type { ContentSource } from '../../shared/content/content-source.ts';
import { BlockedContent } from '../../shared/content/blocks/blocked-content.ts';
import type { BlockList } from '../../shared/content/blocks/block-list.ts';
import { damageReporter } from '../../shared/content/damage.ts';
import { HeldContent } from '../../shared/content/held-content.ts';
import type { LastUse } from '../../shared/content/last-use.ts';
import { LocalContent } from '../../shared/content/local-content.ts';
import { ManifestStore } from '../../shared/content/manifest-store.ts';
import { MirrorNames } from '../../shared/content/mirror-names.ts';
import type { Projects } from '../../shared/content/projects.ts';
import type { ApiRoute } from '../../shared/http/api-route.ts';
import type { WarmSource } from '../../shared/content/warm/warm-image.ts';
import type { WarmEntry } from '../../shared/content/warm/warm-list.ts';
import type { Platform } from '../platform/platform.ts';
import { accessName } from './access-name.ts';
import type { BackgroundTasks } from './background-tasks.ts';
import { BlobFills } from './blob-fills.ts';
import { BlobProofs } from './blob-proofs.ts';
import { BlobPull } from './blob-pull.ts';
import { Completion } from './completion.ts';
import { ConfirmationRecords } from './confirmation-records.ts';
import { createExplainRoute } from './explain/explain-route.ts';
import { forgetCached } from './forget-cached.ts';
import type { FillRegistry } from './fill/fill-registry.ts';
import type { Joins } from './fill/joint-source.ts';
import type { Spool } from './fill/spool.ts';
import { TagFreshness, tagTerms, type TagTerms } from './freshness.ts';
import { KnownAbsent } from './known-absent.ts';
import { ManifestFetch } from './manifest-fetch.ts';
import { ManifestPull } from './manifest-pull.ts';
import { MirroredContent } from './mirrored-content.ts';
import { RepositoryPolicy } from './repository-policy.ts';
import { Standings } from './standings.ts';
import { TagPull } from './tag-pull.ts';
import type { UpstreamConnections } from './upstream/upstream-connections.ts';
import { UpstreamDiscovery } from './upstream-discovery.ts';
import { Verdicts } from './verdict.ts';
import { warmOnSchedule } from './warm/warm-on-schedule.ts';
import { warmSource } from './warm/warm-source.ts';

/** What the content of a mirror is made of beside its platform. */
export interface ContentParts {
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

export interface CreatedContent {
  readonly content: ContentSource;
  readonly completion: Completion;
  /** Resolves when the signal aborts. */
  readonly keepWarm: (signal: AbortSignal) => Promise<void>;
  readonly explain: ApiRoute;
  /** What names mean here. */
  readonly names: MirrorNames<UpstreamConfig>;
}

/** Everything between the pull handlers and the ports: names, verdicts, freshness, fills, completion, warming. */
export function createMirroredContent(
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
    withdrawn: (repository) => parts.fills.disown(repository),
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
  const proofs = new BlobProofs({ ...platform, ...parts, members, verdicts, fills });
  const blobPull = new BlobPull({ ...platform, local, verdicts, fills, proofs });
  const held = new HeldContent(members, manifests);
  const pulls = { local, manifests: manifestPull, blobs: blobPull, held };
  const completion = new Completion({ ...platform, ...parts, ...pulls });
  const discovery = new UpstreamDiscovery({ ...platform, ...parts, local, verdicts });
  const mirrored = new MirroredContent({ ...pulls, names, discovery, completion, clock });
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
  const explain = createExplainRoute({
    ...{ names, local, held, standings, freshness, terms, connections, clock },
    accessNameOf: (repository) => accessName(repository, config),
  });
  return { content, completion, keepWarm, explain, names };
}
