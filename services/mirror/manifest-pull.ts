import { SingleFlight, waitFor } from '../../shared/concurrency/single-flight.ts';
import type { ContentSource, ManifestContent } from '../../shared/content/content-source.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../shared/oci/reference.ts';
import type { Observer, ProxyOutcome } from '../../shared/observability/observer.ts';
import type { CachedRepository } from './cached-repository.ts';
import type { TagFreshness } from './freshness.ts';
import type { KnownAbsent } from './known-absent.ts';
import { heldManifest, type ManifestFetch, type PulledManifest } from './manifest-fetch.ts';
import { servedFrom } from './served-from.ts';
import { staleWarning } from './stale-warning.ts';
import type { TagAnswered, TagPull } from './tag-pull.ts';
import { refuseUnlessAbsent } from './upstream-refusal.ts';
import { found, type Outcome } from './upstream/outcome.ts';
import type { Admission, Verdicts } from './verdict.ts';

export interface ManifestPullOptions {
  readonly local: ContentSource<RepositoryName>;
  readonly verdicts: Verdicts;
  readonly fetch: ManifestFetch;
  readonly tagPull: TagPull;
  readonly freshness: TagFreshness;
  readonly absent: KnownAbsent;
  readonly observer: Observer;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
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
    const { absent } = this.#options;
    const name = absentName(repository, reference);
    if (absent.has(name) && !(await this.#heldNow(repository, reference, signal))) return undefined;
    const content = await this.#pull(repository, reference, signal);
    if (content) absent.delete(name);
    else absent.add(name);
    return content;
  }

  /** Undefined means that the upstream said so. */
  async #pull(
    repository: CachedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const { verdicts, tagPull } = this.#options;
    const admitted = await verdicts.admit(repository, { kind: 'manifest', reference }, signal);
    if (admitted.kind === 'refused') {
      refuseUnlessAbsent(admitted.outcome, repository);
      return undefined;
    }
    const { admission } = admitted;
    return reference.kind === 'tag'
      ? this.#answer(
          repository,
          reference.tag,
          await tagPull.pull(repository, reference.tag, admission, signal),
        )
      : this.#pullDigest(repository, reference.digest, admission, signal);
  }

  /** What is held never asks the upstream: the digest says all. */
  async #pullDigest(
    repository: CachedRepository,
    digest: Digest,
    admission: Admission,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const { fetch, local } = this.#options;
    const reference = { kind: 'digest', digest } as const;
    const held =
      fetch.arrived(repository, reference)?.content ??
      (admission.isHeldServable
        ? await local.manifest(repository.cached, reference, signal)
        : undefined);
    if (held) return this.#served(repository, held, 'hit');
    const name = `${repository.cached}@${digest}`;
    const isJoined = this.#flights.isRunning(name);
    const flight = this.#flights.run(name, () =>
      fetch.alone(name, async () => {
        const heldNow = await this.#heldNow(repository, reference, this.#options.lifetime);
        if (heldNow) return found(heldManifest(heldNow));
        return fetch.fetch(repository, reference, admission);
      }),
    );
    const outcome = await waitFor(flight, signal);
    if (outcome.kind === 'found') {
      return this.#served(repository, outcome.value.content, howServed(outcome.value, isJoined));
    }
    refuseUnlessAbsent(outcome, repository);
    return undefined;
  }

  /** Without asking anybody: what another pull or another process stored meanwhile. */
  async #heldNow(
    repository: CachedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const { verdicts, local, fetch } = this.#options;
    const arrived = fetch.arrived(repository, reference);
    if (arrived) return arrived.content;
    const isHeldServable = await verdicts.isHeldServable(repository, signal);
    return isHeldServable ? local.manifest(repository.cached, reference, signal) : undefined;
  }

  #answer(
    repository: CachedRepository,
    tag: Tag,
    answered: TagAnswered,
  ): ManifestContent | undefined {
    switch (answered.kind) {
      case 'pulled': {
        const { manifest, isJoined } = answered;
        const ageMs = this.#options.freshness.knownAgeMs(repository, tag);
        return this.#served(repository, manifest.content, howServed(manifest, isJoined), ageMs);
      }
      case 'stale': {
        const { content, failure, ageMs } = answered;
        this.#served(repository, content, 'stale', ageMs);
        return { ...content, warning: staleWarning(failure, ageMs) };
      }
      case 'absent':
        return undefined;
    }
  }

  #served(
    repository: CachedRepository,
    content: ManifestContent,
    outcome: ProxyOutcome,
    ageMs?: number,
  ): ManifestContent {
    const isFetched = outcome === 'miss' || outcome === 'bypass';
    this.#options.observer.proxy({
      upstream: repository.upstream.project,
      kind: 'manifest',
      outcome: repository.isBackground ? 'background' : outcome,
      bytesPulled: isFetched ? content.size : 0,
      bytesPushed: repository.isBackground ? 0 : content.size,
    });
    const ageSeconds = ageMs === undefined ? undefined : ageMs / 1000;
    repository.trace?.note(servedFrom(repository, outcome, ageSeconds));
    return content;
  }
}

/** Clients that waited for one question are served by the same answer; only the first one asked. */
function howServed({ cache, isKept }: PulledManifest, isJoined: boolean): ProxyOutcome {
  if (cache === 'hit') return 'hit';
  if (isJoined) return 'join';
  return isKept ? 'miss' : 'bypass';
}

const absentName = ({ cached }: CachedRepository, reference: ManifestReference): string =>
  reference.kind === 'tag' ? `${cached}:${reference.tag}` : `${cached}@${reference.digest}`;
