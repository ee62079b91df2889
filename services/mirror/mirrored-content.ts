import { within } from '../../shared/concurrency/within.ts';
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
import type { HeldContent } from '../../shared/content/held-content.ts';
import type { MirrorMeaning, MirrorNames } from '../../shared/content/mirror-names.ts';
import { notHeld } from '../../shared/content/push-content.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import { registryError } from '../../shared/oci/errors.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../shared/oci/reference.ts';
import type { BlobBody, BlobStat } from '../../shared/storage/blob-store.ts';
import type { BlobPull } from './blob-pull.ts';
import type { CachedRepository } from './cached-repository.ts';
import type { Completion } from './completion.ts';
import type { ManifestPull } from './manifest-pull.ts';
import { unavailable } from './upstream/outcome.ts';
import type { UpstreamDiscovery } from './upstream-discovery.ts';
import { refusalOf } from './upstream-refusal.ts';

export interface MirroredContentOptions {
  readonly names: MirrorNames<UpstreamConfig>;
  readonly local: ContentSource<RepositoryName>;
  readonly manifests: ManifestPull;
  readonly blobs: BlobPull;
  readonly discovery: UpstreamDiscovery;
  readonly held: HeldContent;
  readonly completion: Pick<Completion, 'pulled'>;
  readonly clock: Clock;
}

/** How long a client waits for an upstream. What is joined by others goes on, and the next try finds it. */
const ANSWER_MS = 10_000;
const LATE = unavailable('timeout', 'it takes its time');

/** An upstream's repository, with the trace of the request that named it. */
type UpstreamMeaning = Extract<MirrorMeaning<UpstreamConfig>, { kind: 'upstream' }> &
  CachedRepository;
type LocalMeaning = Extract<MirrorMeaning<UpstreamConfig>, { kind: 'local' }>;
type Meaning = LocalMeaning | UpstreamMeaning;

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
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#localManifest(requested, meaning, reference, signal)
      : this.#soon(meaning, this.#options.manifests.pull(meaning, reference, signal));
  }

  async manifest(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const meaning = await this.#meaning(requested, signal);
    if (meaning.kind === 'local') {
      return this.#localManifest(requested, meaning, reference, signal);
    }
    const { manifests, completion } = this.#options;
    const content = await this.#soon(meaning, manifests.pull(meaning, reference, signal));
    if (content) completion.pulled(meaning, content);
    return content;
  }

  async blobStat(
    requested: RequestedRepository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#options.local.blobStat(meaning.repository, digest, signal)
      : this.#soon(meaning, this.#options.blobs.stat(meaning, digest, signal));
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
      : this.#soon(meaning, this.#options.blobs.open(meaning, digest, options, signal), (late) => {
          if (late && 'stream' in late) late.stream.destroy();
        });
  }

  async tags(requested: RequestedRepository, signal: AbortSignal): Promise<Tag[] | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#options.local.tags(meaning.repository, signal)
      : this.#options.discovery.tags(meaning, signal);
  }

  async referrers(
    requested: RequestedRepository,
    subject: Digest,
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage> {
    const meaning = await this.#meaning(requested, signal);
    return meaning.kind === 'local'
      ? this.#options.local.referrers(meaning.repository, subject, request, signal)
      : this.#soon(meaning, this.#options.discovery.referrers(meaning, subject, request, signal));
  }

  /** Of an upstream's image as much as the push service has of it: all, or nothing. */
  async #localManifest(
    { name }: RequestedRepository,
    { repository, isCache }: LocalMeaning,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const { local, held } = this.#options;
    const content = await local.manifest(repository, reference, signal);
    if (!isCache) return content;
    if (content && (await held.isHeld(repository, content, signal))) return content;
    throw notHeld(name);
  }

  /** The answer, unless it takes so long that clients give up; `release` is for one that comes too late. */
  async #soon<Answer>(
    repository: CachedRepository,
    asked: Promise<Answer>,
    release: (late: Answer) => void = () => undefined,
  ): Promise<Answer> {
    const answered = asked.then((answer) => ({ answer }));
    const inTime = await within(answered, ANSWER_MS, this.#options.clock);
    if (inTime) return inTime.answer;
    answered.then(({ answer }) => release(answer)).catch(() => undefined);
    throw refusalOf(LATE, repository);
  }

  async #meaning(requested: RequestedRepository, signal: AbortSignal): Promise<Meaning> {
    const meaning = await this.#options.names.resolve(requested, signal);
    const { name, namespace, trace } = requested;
    if (meaning.kind === 'upstream') return { ...meaning, trace };
    if (meaning.kind === 'local') return meaning;
    if (meaning.kind === 'refused') {
      throw registryError('DENIED', {
        message: `this mirror does not serve ${meaning.upstreamRepository} of ${meaning.upstream.url} (allow, deny)`,
        detail: { name },
      });
    }
    throw registryError('NAME_UNKNOWN', {
      message:
        namespace === undefined
          ? `${name} names nothing that this mirror knows`
          : `this mirror knows no registry ${namespace}`,
      detail: { name },
    });
  }
}
