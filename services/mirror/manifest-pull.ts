import { SingleFlight, waitFor } from '../../shared/concurrency/single-flight.ts';
import { within } from '../../shared/concurrency/within.ts';
import type { ContentSource, ManifestContent } from '../../shared/content/content-source.ts';
import type { ManifestStore, VerifiedManifest } from '../../shared/content/manifest-store.ts';
import type { TagIndex } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../shared/oci/reference.ts';
import type { Log, Observer, ProxyOutcome } from '../../shared/observability/observer.ts';
import type { CachedRepository } from './cached-repository.ts';
import { decideTag, type TagFreshness } from './freshness.ts';
import { servedFrom } from './served-from.ts';
import { refuseUnlessAbsent } from './upstream-refusal.ts';
import { found, type Outcome } from './upstream/outcome.ts';
import type { Admission, Verdicts } from './verdict.ts';

export interface ManifestPullOptions {
  readonly local: ContentSource<RepositoryName>;
  readonly manifests: ManifestStore;
  readonly tags: TagIndex;
  readonly verdicts: Verdicts;
  readonly freshness: TagFreshness;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly log: Log;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
}

/** A held tag is served stale when its upstream takes longer than this to confirm it; the question goes on. */
const REVALIDATION_BUDGET_MS = 2_500;
const STALE = 'served from the cache: the upstream could not confirm that the tag is up to date';

interface PulledManifest {
  readonly content: ManifestContent;
  readonly cache: 'hit' | 'miss';
  /** The store has it, under its tag where it was asked for by one. */
  readonly isStored: boolean;
}

/** Manifests of upstream repositories: what is held, else the upstream's, stored on its way. */
export class ManifestPull {
  readonly #options: ManifestPullOptions;
  readonly #flights = new SingleFlight<Outcome<PulledManifest>>();

  constructor(options: ManifestPullOptions) {
    this.#options = options;
  }

  async pull(
    repository: CachedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const admitted = await this.#options.verdicts.admit(
      repository,
      { kind: 'manifest', reference },
      signal,
    );
    if (admitted.kind === 'refused') {
      refuseUnlessAbsent(admitted.outcome, repository);
      return undefined;
    }
    const { admission } = admitted;
    return reference.kind === 'tag'
      ? this.#pullTag(repository, reference.tag, admission, signal)
      : this.#pullDigest(repository, reference.digest, admission, signal);
  }

  /** What is held never asks the upstream: the digest says all. */
  async #pullDigest(
    repository: CachedRepository,
    digest: Digest,
    admission: Admission,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const reference = { kind: 'digest', digest } as const;
    const held = await this.#held(repository, reference, admission, signal);
    if (held) return this.#served(repository, reference, held, 'hit');
    const key = `${repository.cached}@${digest}`;
    const isJoined = this.#flights.isRunning(key);
    const flight = this.#flights.run(key, async () => {
      const heldNow = await this.#heldNow(repository, reference);
      if (heldNow) return found({ content: heldNow, cache: 'hit', isStored: true });
      return this.#fetch(repository, reference, admission);
    });
    const outcome = await waitFor(flight, signal);
    if (outcome.kind === 'found') {
      return this.#served(
        repository,
        reference,
        outcome.value.content,
        howServed(outcome.value, isJoined),
      );
    }
    refuseUnlessAbsent(outcome, repository);
    return undefined;
  }

  async #pullTag(
    repository: CachedRepository,
    tag: Tag,
    admission: Admission,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const { freshness, clock } = this.#options;
    const { cached } = repository;
    const reference = { kind: 'tag', tag } as const;
    const held = await this.#held(repository, reference, admission, signal);
    if (held && (await freshness.isFresh(cached, tag)))
      return this.#served(repository, reference, held, 'hit');
    if (held && freshness.isPaused(cached, tag)) return this.#stale(repository, tag, held);

    const key = `${cached}:${tag}`;
    const isJoined = this.#flights.isRunning(key);
    const flight = this.#flights.run(key, () => this.#revalidate(repository, tag, admission));
    const outcome = held
      ? await waitFor(within(flight, REVALIDATION_BUDGET_MS, clock), signal)
      : await waitFor(flight, signal);
    if (!outcome) {
      // The next clients need not wait as long as this one did.
      freshness.pause(cached, tag);
      return held && this.#stale(repository, tag, held);
    }
    if (outcome.kind === 'found') {
      return this.#served(
        repository,
        reference,
        outcome.value.content,
        howServed(outcome.value, isJoined),
      );
    }
    switch (decideTag(outcome.kind, held !== undefined)) {
      case 'serve-stale':
        return held && this.#stale(repository, tag, held);
      case 'drop':
      case 'not-found':
      case 'denied':
      case 'unavailable':
        refuseUnlessAbsent(outcome, repository);
        return undefined;
    }
  }

  async #held(
    repository: CachedRepository,
    reference: ManifestReference,
    admission: Admission,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    if (!admission.isHeldServable) return undefined;
    return this.#options.local.manifest(repository.cached, reference, signal);
  }

  /** Looked at by the one flight of a key: what the flight before it stored is not asked for again. */
  async #heldNow(
    repository: CachedRepository,
    reference: ManifestReference,
  ): Promise<ManifestContent | undefined> {
    const { verdicts, lifetime } = this.#options;
    const admission = await verdicts.admitUnproved(repository, lifetime);
    return this.#held(repository, reference, admission, lifetime);
  }

  /** Asks for the tag, by HEAD where something is held, and acts on the answer. */
  async #revalidate(
    repository: CachedRepository,
    tag: Tag,
    admission: Admission,
  ): Promise<Outcome<PulledManifest>> {
    const { freshness, tags, lifetime } = this.#options;
    const { cached } = repository;
    const held = await this.#heldNow(repository, { kind: 'tag', tag });
    if (held && (await freshness.isFresh(cached, tag)))
      return found({ content: held, cache: 'hit', isStored: true });
    const outcome = held
      ? await this.#confirm(repository, tag, held, admission)
      : await this.#fetch(repository, { kind: 'tag', tag }, admission, tag);
    if (outcome.kind === 'found') {
      // What the store could not take is asked for again: else the old image would count as confirmed.
      if (outcome.value.isStored) await freshness.confirm(cached, tag);
    } else if (outcome.kind === 'limited') freshness.pause(cached, tag, outcome.retryAfterSeconds);
    else if (outcome.kind !== 'not-found') freshness.pause(cached, tag);
    if (outcome.kind !== 'found' && decideTag(outcome.kind, held !== undefined) === 'drop') {
      await this.#bestEffort('tag.drop', () => tags.delete(cached, tag, lifetime));
    }
    return outcome;
  }

  async #confirm(
    repository: CachedRepository,
    tag: Tag,
    held: ManifestContent,
    admission: Admission,
  ): Promise<Outcome<PulledManifest>> {
    const { tags, lifetime } = this.#options;
    const byTag = { kind: 'tag', tag } as const;
    const head = await admission.client.headManifest(
      repository.upstreamRepository,
      byTag,
      lifetime,
    );
    if (head.kind !== 'found') return head;
    const { digest } = head.value;
    if (digest === held.digest) return found({ content: held, cache: 'hit', isStored: true });
    if (!digest) return this.#fetch(repository, byTag, admission, tag);

    const byDigest = { kind: 'digest', digest } as const;
    const other = await this.#held(repository, byDigest, admission, lifetime);
    if (other) {
      const isStored = await this.#bestEffort('tag.move', () =>
        tags.set(repository.cached, tag, digest, lifetime),
      );
      return found({ content: other, cache: 'hit', isStored });
    }
    const fetched = await this.#fetch(repository, byDigest, admission, tag);
    if (fetched.kind === 'found') return fetched;
    // The tag moved on meanwhile, or the HEAD told another digest than the bytes have.
    const isContradiction = fetched.kind === 'not-found' || fetched.kind === 'unavailable';
    return isContradiction ? this.#fetch(repository, byTag, admission, tag) : fetched;
  }

  /** The upstream's manifest, stored before it is given out; when that fails it is given out all the same. */
  async #fetch(
    repository: CachedRepository,
    reference: ManifestReference,
    admission: Admission,
    tag?: Tag,
  ): Promise<Outcome<PulledManifest>> {
    const outcome = await admission.client.getManifest(
      repository.upstreamRepository,
      reference,
      this.#options.lifetime,
    );
    if (outcome.kind !== 'found') return outcome;
    const manifest = outcome.value;
    const isStored =
      admission.isStorable &&
      (await this.#bestEffort('manifest.store', () =>
        this.#store(repository, manifest, tag ? [tag] : [], admission),
      ));
    const { bytes, digest, parsed } = manifest;
    const content = { bytes, digest, mediaType: parsed.mediaType, size: bytes.length };
    return found({ content, cache: 'miss', isStored });
  }

  async #store(
    repository: CachedRepository,
    manifest: VerifiedManifest,
    tags: readonly Tag[],
    admission: Admission,
  ): Promise<void> {
    const { verdicts, manifests, lifetime } = this.#options;
    await verdicts.beforeStore(repository, admission, lifetime);
    await manifests.put(repository.cached, manifest, tags, lifetime);
    crashPoint('fill.manifest-stored');
  }

  /** A store that fails costs the next client an upstream request, not this one its answer. */
  async #bestEffort(operation: string, act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.#options.log.warn({ operation, err: error }, 'the cache could not be written');
      return false;
    }
  }

  #served(
    repository: CachedRepository,
    reference: ManifestReference,
    content: ManifestContent,
    outcome: ProxyOutcome,
  ): ManifestContent {
    const isFetched = outcome === 'miss' || outcome === 'bypass';
    this.#options.observer.proxy({
      upstream: repository.upstream.project,
      kind: 'manifest',
      outcome,
      bytesPulled: isFetched ? content.size : 0,
      bytesPushed: content.size,
    });
    const ageSeconds =
      reference.kind === 'tag' ? this.#ageSeconds(repository, reference.tag) : undefined;
    repository.trace?.note(servedFrom(repository, outcome, ageSeconds));
    return content;
  }

  #stale(repository: CachedRepository, tag: Tag, content: ManifestContent): ManifestContent {
    this.#served(repository, { kind: 'tag', tag }, content, 'stale');
    return { ...content, warning: STALE };
  }

  #ageSeconds({ cached }: CachedRepository, tag: Tag): number | undefined {
    const { freshness, clock } = this.#options;
    const confirmedAt = freshness.confirmedAt(cached, tag);
    return confirmedAt && (clock.now().getTime() - confirmedAt.getTime()) / 1000;
  }
}

/** Clients that waited for one question are served by the same answer; only the first one asked. */
function howServed({ cache, isStored }: PulledManifest, isJoined: boolean): ProxyOutcome {
  if (cache === 'hit') return 'hit';
  if (isJoined) return 'join';
  return isStored ? 'miss' : 'bypass';
}
