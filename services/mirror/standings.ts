import { LRUCache } from 'lru-cache';

import { SingleFlight } from '../../shared/concurrency/single-flight.ts';
import type { Catalog, OriginIndex, OriginMarker } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import type { CachedRepository } from './cached-repository.ts';

const FOREIGN: Promise<Ground> = Promise.resolve('foreign');
/** How old this process's copy of a marker may be. */
const MARKER_TTL_MS = 10_000;
const MAX_REPOSITORIES = 10_000;

/** `public`: anybody was given it. `shared`: the upstream's account was, and every reader here may what it may. */
export type Proof = 'public' | 'shared';

/**
 *   marked    a cached repository
 *   new       nothing is there
 *   foreign   it has content but no marker, so it was pushed (or adopted) under an upstream's name and is never touched
 */
export type Ground = 'marked' | 'new' | 'foreign';

/** What the store says of a cached repository. */
export type Standing =
  | {
      readonly kind: 'marked';
      readonly marker: OriginMarker;
      /** The marker is on its way to the store: rejects when it does not get there. */
      readonly written?: Promise<void>;
    }
  /** Nothing there may be served. What it is, is looked for by who wants to store something. */
  | { readonly kind: 'unmarked'; readonly ground: () => Promise<Ground> };

export interface StandingsOptions {
  readonly origins: OriginIndex;
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Takes everything from a cached repository whose content came from elsewhere. */
  readonly forget: (repository: RepositoryName, signal: AbortSignal) => Promise<void>;
  /** Told when a repository is public no longer. */
  readonly withdrawn: (repository: RepositoryName) => void;
  readonly lifetime: AbortSignal;
}

/** The markers of cached repositories: what was proved of each, and when. */
export class Standings {
  readonly #options: StandingsOptions;
  readonly #read = new LRUCache<string, { readonly standing: Standing; readonly readAtMs: number }>(
    { max: MAX_REPOSITORIES },
  );
  readonly #markings = new SingleFlight<void>();
  /** Proofs of repositories that were new, given and being written down. */
  readonly #proving = new Map<string, Standing>();

  constructor(options: StandingsOptions) {
    this.#options = options;
  }

  async of(repository: CachedRepository, signal: AbortSignal): Promise<Standing> {
    const { cached } = repository;
    const known = this.#recent(cached) ?? this.#proving.get(cached);
    if (known) return known;
    const marker = await this.#options.origins.get(cached, signal);
    if (marker) return this.#rememberMarked(cached, marker);
    let ground: Promise<Ground> | undefined;
    return { kind: 'unmarked', ground: () => (ground ??= this.#groundOf(cached)) };
  }

  /** Of a repository that had no marker. Those who store something together share it, hence no request ends it. */
  async #groundOf(cached: RepositoryName): Promise<Ground> {
    const { origins, catalog, lifetime } = this.#options;
    // What is empty now may be marked by another replica in a moment: it is looked at each time.
    if (!(await catalog.has(cached, lifetime))) return 'new';
    // Another replica may have marked and filled it between the two looks.
    if (await origins.get(cached, lifetime)) return 'marked';
    this.#remember(cached, { kind: 'unmarked', ground: () => FOREIGN });
    return 'foreign';
  }

  /** As `isProved` of how the repository stands now. Its marker alone tells: without one nothing there is served. */
  async isProvedNow(repository: CachedRepository, signal: AbortSignal): Promise<boolean> {
    const { cached } = repository;
    const known = this.#recent(cached) ?? this.#proving.get(cached);
    if (known) return this.isProved(known, repository);
    const marker = await this.#options.origins.get(cached, signal);
    return marker !== undefined && this.isProved(this.#rememberMarked(cached, marker), repository);
  }

  /** A proof was given once, by this upstream, on terms that hold today: what is held may be served. */
  isProved(standing: Standing, repository: CachedRepository): boolean {
    if (standing.kind !== 'marked') return false;
    const { marker } = standing;
    const isGoodHere =
      marker.verdict === 'public' ||
      (marker.verdict === 'shared' && repository.upstream.private === 'shared');
    return isGoodHere && isOfUpstream(marker, repository);
  }

  /** There is no proof, or it is older than its upstream's `proofTtlSeconds`. */
  isDue(standing: Standing, repository: CachedRepository): boolean {
    if (standing.kind !== 'marked' || !this.isProved(standing, repository)) return true;
    const provedAt = Date.parse(standing.marker.provedAt ?? '');
    const age = this.#options.clock.now().getTime() - provedAt;
    return !(age >= 0 && age < repository.upstream.proofTtlSeconds * 1000);
  }

  /**
   * Writes down a proof that was given, unless a good one stands there. `isNew`: the repository was empty when the proof
   * was asked for. Then the proof counts at once; whoever stores anything waits until it is written.
   */
  async prove(repository: CachedRepository, proof: Proof, isNew: boolean): Promise<void> {
    const { cached } = repository;
    const known = this.#recent(cached);
    if (known && this.#isProvedAs(known, repository, proof)) return;
    const written = this.#markings.run(cached, () => this.#proveNow(repository, proof));
    if (isNew && !this.#proving.has(cached)) {
      this.#proving.set(cached, {
        kind: 'marked',
        marker: this.#markerOf(repository, proof),
        written,
      });
      const end = (): boolean => this.#proving.delete(cached);
      written.then(end, end);
    }
    await written;
  }

  async #proveNow(repository: CachedRepository, proof: Proof): Promise<void> {
    const { cached } = repository;
    const marker = await this.#options.origins.get(cached, this.#options.lifetime);
    const standing = marker && ({ kind: 'marked', marker } as const);
    if (standing && this.#isProvedAs(standing, repository, proof)) {
      this.#remember(cached, standing);
    } else {
      await this.#mark(repository, proof, marker);
    }
  }

  async withdraw(repository: CachedRepository): Promise<void> {
    const { origins, lifetime } = this.#options;
    const before = await origins.get(repository.cached, lifetime);
    await this.#mark(repository, 'private', before);
    this.#options.withdrawn(repository.cached);
  }

  /** What came by an account is not public because something else once was. */
  #isProvedAs(standing: Standing, repository: CachedRepository, proof: Proof): boolean {
    const isTooGood =
      proof === 'shared' && standing.kind === 'marked' && standing.marker.verdict === 'public';
    return !this.isDue(standing, repository) && !isTooGood;
  }

  async #mark(
    repository: CachedRepository,
    verdict: OriginMarker['verdict'],
    before: OriginMarker | undefined,
  ): Promise<void> {
    const { origins, forget, lifetime } = this.#options;
    // What another upstream delivered is not proved by this one.
    if (before && !isOfUpstream(before, repository)) await forget(repository.cached, lifetime);
    const marker = this.#markerOf(repository, verdict);
    await origins.put(repository.cached, marker, lifetime);
    crashPoint('origin.marked');
    this.#remember(repository.cached, { kind: 'marked', marker });
  }

  #markerOf(
    { upstream, upstreamRepository }: CachedRepository,
    verdict: OriginMarker['verdict'],
  ): OriginMarker {
    return {
      schemaVersion: 1,
      upstreamUrl: upstream.url,
      upstreamRepository,
      verdict,
      provedAt: this.#options.clock.now().toISOString(),
    };
  }

  #recent(cached: string): Standing | undefined {
    const read = this.#read.get(cached);
    const isRecent = read && this.#options.clock.monotonicMs() - read.readAtMs < MARKER_TTL_MS;
    return isRecent ? read.standing : undefined;
  }

  #rememberMarked(cached: string, marker: OriginMarker): Standing {
    const standing = { kind: 'marked', marker } as const;
    this.#remember(cached, standing);
    return standing;
  }

  #remember(cached: string, standing: Standing): void {
    this.#read.set(cached, { standing, readAtMs: this.#options.clock.monotonicMs() });
  }
}

const isOfUpstream = (
  marker: OriginMarker,
  { upstream, upstreamRepository }: CachedRepository,
): boolean =>
  marker.upstreamUrl === upstream.url && marker.upstreamRepository === upstreamRepository;
