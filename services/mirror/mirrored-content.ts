import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import type {
  BlobOptions,
  BlobRedirect,
  ContentSource,
  ManifestContent,
  ManifestStat,
  ReferrerPage,
  ReferrerPageRequest,
  RequestedRepository,
} from '../../shared/content/content-source.ts';
import type { MirrorMeaning, MirrorNames } from '../../shared/content/mirror-names.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import { registryError } from '../../shared/oci/errors.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../shared/oci/reference.ts';
import type { BlobBody, BlobStat } from '../../shared/storage/blob-store.ts';
import type { BlobPull } from './blob-pull.ts';
import type { CachedRepository } from './cached-repository.ts';
import type { ManifestPull } from './manifest-pull.ts';
import { refuseUnlessAbsent } from './upstream-refusal.ts';
import type { Verdicts } from './verdict.ts';

export interface MirroredContentOptions {
  readonly names: MirrorNames<UpstreamConfig>;
  readonly local: ContentSource<RepositoryName>;
  readonly manifests: ManifestPull;
  readonly blobs: BlobPull;
  readonly verdicts: Verdicts;
}

/** An upstream's repository, with the trace of the request that named it. */
type UpstreamMeaning = Extract<MirrorMeaning<UpstreamConfig>, { kind: 'upstream' }> &
  CachedRepository;
type Meaning = Extract<MirrorMeaning<UpstreamConfig>, { kind: 'local' }> | UpstreamMeaning;

/**
 * What the mirror serves: local repositories from the store alone, those of upstreams from what is held and else from
 * the upstream. An image index is kept byte for byte, and its children come when they are asked for.
 */
export class MirroredContent implements ContentSource {
  readonly #options: MirroredContentOptions;

  constructor(options: MirroredContentOptions) {
    this.#options = options;
  }

  async manifestStat(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestStat | undefined> {
    return this.manifest(requested, reference, signal);
  }

  async manifest(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#options.local.manifest(meaning.repository, reference, signal)
      : this.#options.manifests.pull(meaning, reference, signal);
  }

  async blobStat(
    requested: RequestedRepository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#options.local.blobStat(meaning.repository, digest, signal)
      : this.#options.blobs.stat(meaning, digest, signal);
  }

  async blob(
    requested: RequestedRepository,
    digest: Digest,
    options: BlobOptions,
    signal: AbortSignal,
  ): Promise<BlobBody | BlobRedirect | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#options.local.blob(meaning.repository, digest, options, signal)
      : this.#options.blobs.open(meaning, digest, options, signal);
  }

  async tags(requested: RequestedRepository, signal: AbortSignal): Promise<Tag[] | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#options.local.tags(meaning.repository, signal)
      : this.#upstreamTags(meaning, signal);
  }

  /** Those that are held. */
  async referrers(
    requested: RequestedRepository,
    subject: Digest,
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage> {
    const { local, verdicts } = this.#options;
    const meaning = await this.#meaning(requested, signal);
    if (meaning.kind === 'local') {
      return local.referrers(meaning.repository, subject, request, signal);
    }
    const { isHeldServable } = await verdicts.admitUnproved(meaning, signal);
    return isHeldServable
      ? local.referrers(meaning.cached, subject, request, signal)
      : { descriptors: [], next: undefined };
  }

  /** The upstream's tags; while it cannot tell them, those that are held. */
  async #upstreamTags(
    repository: CachedRepository,
    signal: AbortSignal,
  ): Promise<Tag[] | undefined> {
    const { local, verdicts } = this.#options;
    const admission = await verdicts.admitUnproved(repository, signal);
    const outcome = await admission.client.tagList(repository.upstreamRepository, signal);
    if (outcome.kind === 'found') return [...new Set(outcome.value)].sort(byBytes);
    const isStatement = outcome.kind === 'not-found';
    if (!isStatement && admission.isHeldServable) {
      const held = await local.tags(repository.cached, signal);
      if (held && held.length > 0) return held;
    }
    refuseUnlessAbsent(outcome, repository);
    return undefined;
  }

  async #meaning(requested: RequestedRepository, signal: AbortSignal): Promise<Meaning> {
    const meaning = await this.#options.names.resolve(requested, signal);
    const { name, namespace, trace } = requested;
    if (meaning.kind === 'upstream') return { ...meaning, trace };
    if (meaning.kind === 'local') return meaning;
    throw registryError('NAME_UNKNOWN', {
      message:
        namespace === undefined
          ? `${name} names nothing that this mirror knows`
          : `this mirror knows no registry ${namespace}`,
      detail: { name },
    });
  }
}

/** Tags are ASCII, so that code units are bytes. */
const byBytes = (a: Tag, b: Tag): number => (a < b ? -1 : a > b ? 1 : 0);
