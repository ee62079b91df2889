import { LRUCache } from 'lru-cache';

import { SingleFlight, waitFor } from '../../shared/concurrency/single-flight.ts';
import type { Catalog, OriginIndex, OriginMarker } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import type { ManifestReference, RepositoryName } from '../../shared/oci/reference.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import type { BackgroundTasks } from './background-tasks.ts';
import type { CachedRepository } from './cached-repository.ts';
import { type Failure, found, type Outcome } from './upstream/outcome.ts';
import type { UpstreamConnections } from './upstream/upstream-connections.ts';
import type { Upstream } from './upstream/with-fallback.ts';

/** How long a proof that anybody may pull holds. After that it is proved again, in the background. */
const PROOF_TTL_MS = 24 * 60 * 60 * 1000;
/** A proof is not tried more often, and two denials count as two only when they are this far apart. */
const PROOF_INTERVAL_MS = 60_000;
/** A denial without a second one for this long is forgotten. */
const DENIAL_TTL_MS = 60 * 60 * 1000;
/** How old this process's copy of a marker may be. */
const MARKER_TTL_MS = 10_000;
const MAX_REPOSITORIES = 10_000;

/** What a client asked for, and so what an anonymous caller is tried with. */
export type Probe =
  | { readonly kind: 'manifest'; readonly reference: ManifestReference }
  | { readonly kind: 'blob'; readonly digest: Digest };

/** On which terms a request about a cached repository goes on. */
export interface Admission {
  /** Whom to ask; as nobody, unless a proof that the repository is public holds. */
  readonly client: Upstream;
  readonly isAnonymous: boolean;
  /** Held content may be served. */
  readonly isHeldServable: boolean;
  /** What the client gets may be stored, after `beforeStore`. */
  readonly isStorable: boolean;
}

export type AdmissionOutcome =
  | { readonly kind: 'admitted'; readonly admission: Admission }
  | { readonly kind: 'refused'; readonly outcome: Failure };

/** `isWritten`: the proof stands in the store, so that content may follow it. */
interface Judgement {
  readonly isWritten: boolean;
}

/**
 * What the store says of a cached repository. `foreign`: it has content but no marker, so it was pushed (or adopted)
 * under an upstream's name and is never touched.
 */
type Standing =
  | { readonly kind: 'marked'; readonly marker: OriginMarker }
  | { readonly kind: 'empty' }
  | { readonly kind: 'foreign' };

export interface VerdictsOptions {
  readonly origins: OriginIndex;
  readonly catalog: Catalog;
  readonly connections: UpstreamConnections;
  readonly clock: Clock;
  readonly background: BackgroundTasks;
  /** Takes everything from a cached repository whose content came from elsewhere. */
  readonly forget: (repository: RepositoryName, signal: AbortSignal) => Promise<void>;
  readonly lifetime: AbortSignal;
}

/**
 * Public or private, per upstream repository (docs/architecture.md). Public is what an anonymous caller was given; the
 * configured account never gives the verdict and is used only while a proof that the repository is public holds, so that
 * nothing that it alone may read gets here. A proof lasts 24 hours; after that new content is asked for as nobody, which
 * proves it again, and what is held is still served. It is withdrawn by two registry-shaped denials a minute
 * apart, after fresh anonymous tokens; any other answer (a limit, a proxy's 403, a failure) leaves it as it is.
 */
export class Verdicts {
  readonly #options: VerdictsOptions;
  readonly #standings: LRUCache<string, { readonly standing: Standing; readonly readAtMs: number }>;
  readonly #judgements = new SingleFlight<Outcome<Judgement>>();
  readonly #markings = new SingleFlight<void>();
  readonly #triedAtMs = new LRUCache<string, number>({ max: MAX_REPOSITORIES });
  readonly #deniedAtMs = new LRUCache<string, number>({ max: MAX_REPOSITORIES });

  constructor(options: VerdictsOptions) {
    this.#options = options;
    this.#standings = new LRUCache({ max: MAX_REPOSITORIES });
  }

  /** The terms for a request; where an account is configured and no proof is there, after asking for one. */
  async admit(
    repository: CachedRepository,
    probe: Probe,
    signal: AbortSignal,
  ): Promise<AdmissionOutcome> {
    const admission = await this.admitUnproved(repository, signal);
    if (admission.isHeldServable) {
      this.#proveAgainIfDue(repository, probe);
      return { kind: 'admitted', admission };
    }
    const { configured } = this.#options.connections.to(repository.upstream);
    // Without an account the request itself is the proof: it is made as nobody.
    if (!configured) return { kind: 'admitted', admission };
    const judgement = await waitFor(
      // An outcome may be about what was asked for alone, so only those who ask for the same share it.
      this.#judgements.run(`${repository.cached} ${probeName(probe)}`, () =>
        this.#judge(repository, probe, admission),
      ),
      signal,
    );
    if (judgement.kind !== 'found') return { kind: 'refused', outcome: judgement };
    return {
      kind: 'admitted',
      admission: judgement.value.isWritten
        ? { client: configured, isAnonymous: false, isHeldServable: true, isStorable: true }
        : { ...admission, isStorable: false },
    };
  }

  /** The terms as they are now, without asking the upstream. */
  async admitUnproved(repository: CachedRepository, signal: AbortSignal): Promise<Admission> {
    const standing = await this.#standing(repository, signal);
    const { anonymous, configured } = this.#options.connections.to(repository.upstream);
    const isPublic =
      standing.kind === 'marked' &&
      standing.marker.verdict === 'public' &&
      isOfUpstream(standing.marker, repository);
    const account = isPublic && !this.#isDue(standing.marker, repository) ? configured : undefined;
    return {
      client: account ?? anonymous,
      isAnonymous: !account,
      isHeldServable: isPublic,
      isStorable: standing.kind !== 'foreign',
    };
  }

  /** Marks the repository before its first link is written. To be called after the admission's client delivered. */
  async beforeStore(
    repository: CachedRepository,
    admission: Admission,
    signal: AbortSignal,
  ): Promise<void> {
    // With the account nothing is proved; the proof that admitted it has been written.
    if (admission.isAnonymous) await this.#markPublic(repository, signal);
  }

  async #standing(repository: CachedRepository, signal: AbortSignal): Promise<Standing> {
    const { origins, catalog, clock } = this.#options;
    const { cached } = repository;
    const known = this.#standings.get(cached);
    if (known && clock.monotonicMs() - known.readAtMs < MARKER_TTL_MS) return known.standing;
    let marker = await origins.get(cached, signal);
    let hasContent = false;
    if (!marker) {
      hasContent = await catalog.has(cached, signal);
      // Another replica may have marked and filled it between the two looks.
      if (hasContent) marker = await origins.get(cached, signal);
    }
    let standing: Standing;
    if (marker) standing = { kind: 'marked', marker };
    else standing = { kind: hasContent ? 'foreign' : 'empty' };
    this.#remember(cached, standing);
    return standing;
  }

  #remember(cached: string, standing: Standing): void {
    // What is empty now may be marked by another replica in a moment: it is looked at each time.
    if (standing.kind === 'empty') return;
    this.#standings.set(cached, { standing, readAtMs: this.#options.clock.monotonicMs() });
  }

  async #markPublic(repository: CachedRepository, signal: AbortSignal): Promise<void> {
    const standing = await this.#standing(repository, signal);
    if (standing.kind === 'marked' && !this.#isDue(standing.marker, repository)) return;
    await this.#markings.run(repository.cached, () => this.#mark(repository, 'public'));
    this.#deniedAtMs.delete(repository.cached);
  }

  async #mark(repository: CachedRepository, verdict: 'public' | 'private'): Promise<void> {
    const { origins, clock, forget, lifetime } = this.#options;
    const before = await origins.get(repository.cached, lifetime);
    // What another upstream delivered is not proved by this one.
    if (before && !isOfUpstream(before, repository)) await forget(repository.cached, lifetime);
    const marker: OriginMarker = {
      schemaVersion: 1,
      upstreamUrl: repository.upstream.url,
      upstreamRepository: repository.upstreamRepository,
      verdict,
      provedAt: clock.now().toISOString(),
    };
    await origins.put(repository.cached, marker, lifetime);
    crashPoint('origin.marked');
    this.#remember(repository.cached, { kind: 'marked', marker });
  }

  /** Whether anybody may pull, asked before an account is used. A registry's denial is remembered for a minute. */
  async #judge(
    repository: CachedRepository,
    probe: Probe,
    admission: Admission,
  ): Promise<Outcome<Judgement>> {
    const { clock } = this.#options;
    const { cached } = repository;
    const deniedAtMs = this.#deniedAtMs.get(cached);
    if (deniedAtMs !== undefined && clock.monotonicMs() - deniedAtMs < PROOF_INTERVAL_MS) {
      return { kind: 'denied', isRegistryAnswer: true };
    }
    const outcome = await this.#tryAnonymously(repository, probe);
    if (outcome.kind === 'found') {
      this.#deniedAtMs.delete(cached);
      return found({ isWritten: admission.isStorable && (await this.#writeProof(repository)) });
    }
    if (outcome.kind === 'denied' && outcome.isRegistryAnswer) {
      this.#deniedAtMs.set(cached, clock.monotonicMs());
    }
    return outcome;
  }

  /** A store that cannot be written costs the cache its gain, not the client its answer. */
  async #writeProof(repository: CachedRepository): Promise<boolean> {
    try {
      await this.#markPublic(repository, this.#options.lifetime);
      return true;
    } catch (error) {
      if (error instanceof StorageError) return false;
      throw error;
    }
  }

  #isDue(marker: OriginMarker, repository: CachedRepository): boolean {
    if (marker.verdict !== 'public' || !isOfUpstream(marker, repository)) return true;
    const provedAt = Date.parse(marker.provedAt ?? '');
    const age = this.#options.clock.now().getTime() - provedAt;
    return !(age >= 0 && age < PROOF_TTL_MS);
  }

  #proveAgainIfDue(repository: CachedRepository, probe: Probe): void {
    const { background, clock } = this.#options;
    const { cached } = repository;
    const known = this.#standings.get(cached)?.standing;
    if (known?.kind !== 'marked' || !this.#isDue(known.marker, repository)) return;
    const triedAtMs = this.#triedAtMs.get(cached);
    const nowMs = clock.monotonicMs();
    if (triedAtMs !== undefined && nowMs - triedAtMs < PROOF_INTERVAL_MS) return;
    this.#triedAtMs.set(cached, nowMs);
    background.run('verdict', () => this.#proveAgain(repository, probe));
  }

  async #proveAgain(repository: CachedRepository, probe: Probe): Promise<void> {
    const { cached } = repository;
    const outcome = await this.#tryAnonymously(repository, probe);
    if (outcome.kind === 'found') {
      this.#deniedAtMs.delete(cached);
      await this.#markPublic(repository, this.#options.lifetime);
      return;
    }
    if (outcome.kind !== 'denied' || !outcome.isRegistryAnswer) return;
    const nowMs = this.#options.clock.monotonicMs();
    const firstMs = this.#deniedAtMs.get(cached);
    const isOld = firstMs === undefined || nowMs - firstMs > DENIAL_TTL_MS;
    if (isOld) this.#deniedAtMs.set(cached, nowMs);
    else if (nowMs - firstMs >= PROOF_INTERVAL_MS) await this.#mark(repository, 'private');
  }

  /** Free of Docker Hub's pull budget unless it is denied: only the body of a GET tells who denies. */
  async #tryAnonymously(repository: CachedRepository, probe: Probe): Promise<Outcome<undefined>> {
    const { connections, lifetime } = this.#options;
    const { anonymous } = connections.to(repository.upstream);
    const name = repository.upstreamRepository;
    if (probe.kind === 'manifest') {
      const head = await anonymous.headManifest(name, probe.reference, lifetime);
      if (head.kind === 'found') return found(undefined);
      if (head.kind !== 'denied' || head.isRegistryAnswer) return head;
      const got = await anonymous.getManifest(name, probe.reference, lifetime);
      return got.kind === 'found' ? found(undefined) : got;
    }
    const head = await anonymous.headBlob(name, probe.digest, lifetime);
    if (head.kind === 'found') return found(undefined);
    if (head.kind !== 'denied' || head.isRegistryAnswer) return head;
    const opened = await anonymous.openBlob(name, probe.digest, 0, lifetime);
    if (opened.kind !== 'found') return opened;
    opened.value.body.on('error', () => undefined).destroy();
    return found(undefined);
  }
}

function probeName(probe: Probe): string {
  if (probe.kind === 'blob') return `blob ${probe.digest}`;
  const { reference } = probe;
  return `manifest ${reference.kind === 'tag' ? reference.tag : reference.digest}`;
}

const isOfUpstream = (
  marker: OriginMarker,
  { upstream, upstreamRepository }: CachedRepository,
): boolean =>
  marker.upstreamUrl === upstream.url && marker.upstreamRepository === upstreamRepository;
