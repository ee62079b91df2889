import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import type { ManifestContent } from '../../../shared/content/content-source.ts';
import type { HeldContent } from '../../../shared/content/held-content.ts';
import type { LocalContent } from '../../../shared/content/local-content.ts';
import type { MirrorNames } from '../../../shared/content/mirror-names.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { mapBounded } from '../../../shared/index/store/map-bounded.ts';
import type { Digest } from '../../../shared/oci/digest.ts';
import { childPlatforms } from '../../../shared/oci/platform.ts';
import type { PullReference } from '../../../shared/oci/pull-reference.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../../shared/oci/reference.ts';
import type { CachedRepository } from '../cached-repository.ts';
import type { TagFreshness, TagTerms } from '../freshness.ts';
import type { Standings } from '../standings.ts';
import type { UpstreamConnections } from '../upstream/upstream-connections.ts';
import { nameRule, spellingRules } from './name-rule.ts';

/** What this store has of a manifest: with all its blobs, without some of them, or nothing. */
type Holding = 'complete' | 'incomplete' | 'none';

/** The answer of `GET /api/v1/explain` (docs/mirror.md). Times are RFC 3339. */
export interface Explanation {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly namespace: string | undefined;
  /** `unknown`: a pull is answered 404. `refused`: the upstream's repository is not among those that may be pulled. */
  readonly kind: 'upstream' | 'local' | 'refused' | 'unknown';
  readonly why: string;
  readonly spelling: readonly string[];
  /** Where the content lies in this store. */
  readonly repository?: string;
  readonly upstream?: {
    readonly project: string;
    readonly url: string;
    readonly repository: string;
    readonly breaker: 'open' | 'closed';
    /** `unproved`: nothing was pulled yet, or what is held came from elsewhere. */
    readonly verdict: 'public' | 'shared' | 'private' | 'unproved';
    readonly provedAt?: string;
  };
  readonly tag?: {
    readonly name: string;
    readonly digest?: string;
    readonly lastCheckAt?: string;
    /** Of the first pull after that; in the past: of the next pull. */
    readonly nextCheckAt?: string;
  };
  readonly manifest?: {
    readonly digest: string;
    readonly mediaType: string;
    readonly size: number;
    readonly holding: Holding;
  };
  /** Of an index, in its order. */
  readonly platforms?: readonly {
    readonly platform: string;
    readonly digest: string;
    readonly holding: Holding;
  }[];
}

export interface ExplainOptions {
  readonly names: MirrorNames<UpstreamConfig>;
  readonly local: LocalContent;
  readonly held: HeldContent;
  readonly standings: Standings;
  readonly freshness: TagFreshness;
  readonly terms: (upstream: UpstreamConfig) => TagTerms;
  readonly connections: UpstreamConnections;
  readonly clock: Clock;
}

/** Children that are looked at; an index has as many platforms as there are. */
const MAX_PLATFORMS = 200;

/** What a pull of the reference would be about, and what is known of it here. Asks no upstream. */
export async function explain(
  { name, namespace, reference }: PullReference,
  options: ExplainOptions,
  signal: AbortSignal,
): Promise<Explanation> {
  const requested = { name, namespace };
  const meaning = await options.names.resolve(requested, signal);
  const { kind } = meaning;
  const why = nameRule(requested, meaning);
  const spelling = spellingRules(requested, meaning);
  const about = { schemaVersion: 1, name, namespace, kind, why, spelling } as const;
  if (meaning.kind === 'unknown' || meaning.kind === 'refused') return about;
  if (meaning.kind === 'local') {
    const { repository } = meaning;
    const tag = reference.kind === 'tag' ? { tag: { name: reference.tag } } : {};
    const holdings = await holdingsOf(repository, reference, options, signal);
    return { ...about, repository, ...withDigest(tag, holdings), ...holdings };
  }
  return { ...about, ...(await explainCached(meaning, reference, options, signal)) };
}

/** What is known of an upstream's repository: nothing that is held is told before it is proved. */
async function explainCached(
  repository: CachedRepository,
  reference: ManifestReference,
  options: ExplainOptions,
  signal: AbortSignal,
): Promise<Pick<Explanation, 'repository' | 'upstream' | 'tag' | 'manifest' | 'platforms'>> {
  const { upstream, upstreamRepository, cached } = repository;
  const standing = await options.standings.of(repository, signal);
  const marker = standing.kind === 'marked' ? standing.marker : undefined;
  const isServable = options.standings.isProved(standing, repository);
  const isKnown = isServable || marker?.verdict === 'private';
  const holdings = isServable ? await holdingsOf(cached, reference, options, signal) : {};
  const stateOf = (name: Tag): Promise<NonNullable<Explanation['tag']>> =>
    isServable ? tagState(repository, name, options) : Promise.resolve({ name });
  const tag = reference.kind === 'tag' ? { tag: await stateOf(reference.tag) } : {};
  return {
    repository: cached,
    upstream: {
      project: upstream.project,
      url: upstream.url,
      repository: upstreamRepository,
      breaker: options.connections.to(upstream).breaker.isOpen ? 'open' : 'closed',
      verdict: isKnown && marker && marker.verdict !== 'unknown' ? marker.verdict : 'unproved',
      ...(isKnown && marker?.provedAt !== undefined && { provedAt: marker.provedAt }),
    },
    ...withDigest(tag, holdings),
    ...holdings,
  };
}

type Holdings = Pick<Explanation, 'manifest' | 'platforms'>;

const withDigest = (
  { tag }: Pick<Explanation, 'tag'>,
  { manifest }: Holdings,
): Pick<Explanation, 'tag'> =>
  tag ? { tag: { ...tag, ...(manifest && { digest: manifest.digest }) } } : {};

async function tagState(
  repository: CachedRepository,
  tag: Tag,
  { freshness, terms, clock }: ExplainOptions,
): Promise<NonNullable<Explanation['tag']>> {
  const ageMs = await freshness.ageMs(repository, tag);
  if (ageMs === undefined) return { name: tag };
  const lastMs = clock.now().getTime() - ageMs;
  return {
    name: tag,
    lastCheckAt: new Date(lastMs).toISOString(),
    nextCheckAt: new Date(lastMs + terms(repository.upstream).ttlMs).toISOString(),
  };
}

async function holdingsOf(
  repository: RepositoryName,
  reference: ManifestReference,
  { local, held }: ExplainOptions,
  signal: AbortSignal,
): Promise<Holdings> {
  const content = await local.manifest(repository, reference, signal);
  if (!content) return {};
  const holdingOf = async (manifest: ManifestContent | undefined): Promise<Holding> => {
    if (!manifest) return 'none';
    return (await held.isHeld(repository, manifest, signal)) ? 'complete' : 'incomplete';
  };
  const { digest, mediaType, size } = content;
  const manifest = { digest, mediaType, size, holding: await holdingOf(content) };
  const platforms = [...childPlatforms(content.bytes)].slice(0, MAX_PLATFORMS);
  if (platforms.length === 0) return { manifest };
  const childOf = (child: Digest): Promise<ManifestContent | undefined> =>
    local.manifest(repository, { kind: 'digest', digest: child }, signal);
  return {
    manifest,
    platforms: await mapBounded(platforms, async ([child, platform]) => ({
      platform,
      digest: child,
      holding: await holdingOf(await childOf(child)),
    })),
  };
}
