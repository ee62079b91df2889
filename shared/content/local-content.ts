import type { RegistryIndex } from '../index/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseManifest } from '../oci/manifest.ts';
import { isIndexType } from '../oci/media-types.ts';
import { type RangeRequest, resolveRange } from '../oci/range.ts';
import {
  type ManifestReference,
  parseTag,
  type RepositoryName,
  type Tag,
} from '../oci/reference.ts';
import type { BlobLinks } from '../storage/blob-links.ts';
import type { BlobBody, BlobStat, BlobStore } from '../storage/blob-store.ts';
import { RangeNotSatisfiableError } from '../storage/errors.ts';
import type {
  BlobOptions,
  BlobRedirect,
  ContentSource,
  ManifestContent,
  ManifestStat,
  ReferrerPage,
  ReferrerPageRequest,
} from './content-source.ts';
import type { ReportDamage } from './damage.ts';
import type { LastUse } from './last-use.ts';
import type { ManifestStore } from './manifest-store.ts';
import { ReferrerPages } from './referrer-pages.ts';

type ContentIndexes = Pick<RegistryIndex, 'tags' | 'members' | 'referrers' | 'catalog'>;

export interface LocalContentOptions {
  readonly blobs: BlobStore;
  /** Set when clients are sent to the store for blobs. */
  readonly links?: BlobLinks | undefined;
  readonly manifests: ManifestStore;
  readonly index: ContentIndexes;
  readonly onDamage?: ReportDamage;
  /** Told of every manifest that is given out. */
  readonly lastUse?: Pick<LastUse, 'touch'>;
}

/** What this store holds. A blob or manifest is readable through a repository only if it belongs to it (I6). */
export class LocalContent implements ContentSource<RepositoryName> {
  readonly #blobs: BlobStore;
  readonly #links: BlobLinks | undefined;
  readonly #manifests: ManifestStore;
  readonly #index: ContentIndexes;
  readonly #referrerPages: ReferrerPages;
  readonly #onDamage: ReportDamage | undefined;
  readonly #lastUse: Pick<LastUse, 'touch'> | undefined;

  constructor({ blobs, links, manifests, index, onDamage, lastUse }: LocalContentOptions) {
    this.#blobs = blobs;
    this.#links = links;
    this.#manifests = manifests;
    this.#index = index;
    this.#referrerPages = new ReferrerPages(index);
    this.#onDamage = onDamage;
    this.#lastUse = lastUse;
  }

  async manifestStat(
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestStat | undefined> {
    return this.manifest(repository, reference, signal);
  }

  async manifest(
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const found = await this.#find(repository, reference, signal);
    if (found) this.#lastUse?.touch(repository, found.digest);
    return found;
  }

  async #find(
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    if (reference.kind === 'digest') {
      return this.#manifests.get(repository, reference.digest, signal);
    }
    const digest = await this.#index.tags.get(repository, reference.tag, signal);
    return digest && this.#manifests.getTagged(repository, digest, signal);
  }

  async blobStat(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat | undefined> {
    if (!(await this.#index.members.has(repository, 'blob', digest, signal))) return undefined;
    return this.#held(repository, digest, await this.#blobs.stat(digest, signal));
  }

  async blob(
    repository: RepositoryName,
    digest: Digest,
    { range, mayRedirect }: BlobOptions,
    signal: AbortSignal,
  ): Promise<BlobBody | BlobRedirect | undefined> {
    if (!(await this.#index.members.has(repository, 'blob', digest, signal))) return undefined;
    const redirect =
      mayRedirect && this.#links
        ? await this.#redirect(this.#links, digest, range, signal)
        : undefined;
    // What is not there for who asks (it may be about to be removed) is read as long as its bytes are.
    return this.#held(
      repository,
      digest,
      redirect ?? (await this.#blobs.open(digest, range, signal)),
    );
  }

  /** A blob that belongs to the repository and is not there has been lost; only removing its link makes it absent. */
  #held<Found>(
    repository: RepositoryName,
    digest: Digest,
    found: Found | undefined,
  ): Found | undefined {
    if (found === undefined) this.#onDamage?.({ kind: 'blob-missing', repository, digest });
    return found;
  }

  /** Nobody is sent to bytes that are not there: the store would answer in its own words, which no client reads. */
  async #redirect(
    links: BlobLinks,
    digest: Digest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobRedirect | undefined> {
    const stat = await this.#blobs.stat(digest, signal);
    if (!stat) return undefined;
    if (range && !resolveRange(range, stat.size)) throw new RangeNotSatisfiableError(stat.size);
    return { url: await links.sign(digest) };
  }

  async tags(repository: RepositoryName, signal: AbortSignal): Promise<Tag[] | undefined> {
    const tags = await this.#index.tags.list(repository, signal);
    if (tags.length > 0) return tags;
    return (await this.#index.catalog.has(repository, signal)) ? tags : undefined;
  }

  async referrers(
    repository: RepositoryName,
    subject: Digest,
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage> {
    const listed = await this.#fallbackReferrers(repository, subject, signal);
    return this.#referrerPages.page(repository, subject, listed, request, signal);
  }

  /** The index under the tag `<alg>-<hex>` (distribution-spec, spec.md#referrers-tag-schema). */
  async #fallbackReferrers(
    repository: RepositoryName,
    subject: Digest,
    signal: AbortSignal,
  ): Promise<readonly Descriptor[]> {
    const tag = parseTag(
      `${digestAlgorithm(subject).slice(0, 32)}-${digestHex(subject).slice(0, 64)}`,
    );
    const index = tag && (await this.manifest(repository, { kind: 'tag', tag }, signal));
    if (!index || !isIndexType(index.mediaType)) return [];
    try {
      return parseManifest(index.bytes, index.mediaType).manifests;
    } catch (error) {
      // Another registry took it; it lists nothing that could be shown.
      if (error instanceof RegistryError) return [];
      throw error;
    }
  }
}
