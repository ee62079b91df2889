import type { Digest } from '../../oci/digest.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../oci/reference.ts';
import type { BlobBody, BlobStat } from '../../storage/blob-store.ts';
import type {
  BlobOptions,
  BlobRedirect,
  ContentSource,
  ManifestContent,
  ManifestStat,
  ReferrerPage,
  ReferrerPageRequest,
  RequestedRepository,
} from '../content-source.ts';
import type { BlockList } from './block-list.ts';

/** The repository of the store that a request means; undefined when it means none. */
export type NameOf = (
  requested: RequestedRepository,
  signal: AbortSignal,
) => Promise<RepositoryName | undefined>;

/** Content without what operators have blocked: asked for it, it throws DENIED, held or not. */
export class BlockedContent implements ContentSource {
  readonly #inner: ContentSource;
  readonly #blocks: BlockList;
  readonly #nameOf: NameOf;

  constructor(inner: ContentSource, blocks: BlockList, nameOf: NameOf) {
    this.#inner = inner;
    this.#blocks = blocks;
    this.#nameOf = nameOf;
  }

  async manifestStat(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestStat | undefined> {
    return this.#manifest(requested, reference, signal, () =>
      this.#inner.manifestStat(requested, reference, signal),
    );
  }

  async manifest(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    return this.#manifest(requested, reference, signal, () =>
      this.#inner.manifest(requested, reference, signal),
    );
  }

  async blobStat(
    requested: RequestedRepository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat | undefined> {
    await this.#refuse(requested, { digest }, signal);
    return this.#inner.blobStat(requested, digest, signal);
  }

  async blob(
    requested: RequestedRepository,
    digest: Digest,
    options: BlobOptions,
    signal: AbortSignal,
  ): Promise<BlobBody | BlobRedirect | undefined> {
    await this.#refuse(requested, { digest }, signal);
    return this.#inner.blob(requested, digest, options, signal);
  }

  async tags(requested: RequestedRepository, signal: AbortSignal): Promise<Tag[] | undefined> {
    await this.#refuse(requested, {}, signal);
    return this.#inner.tags(requested, signal);
  }

  async referrers(
    requested: RequestedRepository,
    subject: Digest,
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage> {
    await this.#refuse(requested, {}, signal);
    return this.#inner.referrers(requested, subject, request, signal);
  }

  /** Looked at twice: what a tag names is known afterwards. */
  async #manifest<Found extends ManifestStat>(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
    ask: () => Promise<Found | undefined>,
  ): Promise<Found | undefined> {
    if (reference.kind === 'digest') {
      await this.#refuse(requested, { digest: reference.digest }, signal);
      return ask();
    }
    const { tag } = reference;
    await this.#refuse(requested, { tag }, signal);
    const found = await ask();
    if (found) await this.#refuse(requested, { tag, digest: found.digest }, signal);
    return found;
  }

  async #refuse(
    requested: RequestedRepository,
    content: { readonly tag?: Tag; readonly digest?: Digest },
    signal: AbortSignal,
  ): Promise<void> {
    if (await this.#blocks.isEmpty(signal)) return;
    const repository = await this.#nameOf(requested, signal);
    if (repository) await this.#blocks.refuse({ repository, ...content }, signal);
  }
}
