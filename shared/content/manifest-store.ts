import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';

import type { RegistryIndex } from '../index/ports.ts';
import { crashPoint } from '../lifecycle/crash-point.ts';
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts';
import { RegistryError, registryError } from '../oci/errors.ts';
import {
  type DetectedManifestType,
  detectManifestType,
  type ParsedManifest,
  parseManifest,
} from '../oci/manifest.ts';
import { MANIFEST_MAX_BYTES } from '../oci/media-types.ts';
import type { RepositoryName, Tag } from '../oci/reference.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { StorageError } from '../storage/errors.ts';
import type { ManifestContent } from './content-source.ts';
import type { ReportDamage } from './damage.ts';
import { listedReferrer } from './listed-referrer.ts';

/** Manifests kept in memory by digest, unless another bound is given: they never change. */
const CACHE_BYTES = 32 * 1024 * 1024;
const READS_AT_ONCE = 16;
/** How long a tag is waited for that another request is moving. */
const TAG_WAIT_MS = 2_000;
/** How often a push begins again when a delete of the same manifest runs beside it. */
const PUT_TRIES = 3;

/** A manifest whose bytes were checked: `digest` is theirs, `parsed` is what they say. */
export interface VerifiedManifest {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly parsed: ParsedManifest;
}

interface CachedManifest extends DetectedManifestType {
  readonly bytes: Buffer;
}

type ManifestIndexes = Pick<
  RegistryIndex,
  'tags' | 'members' | 'referrers' | 'manifestTypes' | 'leases'
>;

/** Whether a tag, once it exists, stays what it is. */
export type IsImmutable = (tag: Tag) => boolean;

const never: IsImmutable = () => false;

export const immutable = (repository: RepositoryName, tag: Tag): Error =>
  registryError('DENIED', {
    message: `the tag ${tag} of ${repository} is immutable by a rule of its project: it is neither moved nor deleted`,
    detail: { name: repository, tag },
  });

/** Manifests of local repositories, in the commit order of docs/architecture.md. */
export class ManifestStore {
  readonly #blobs: BlobStore;
  readonly #index: ManifestIndexes;
  readonly #onDamage: ReportDamage | undefined;
  readonly #cache: LRUCache<Digest, CachedManifest>;
  readonly #limitReads = pLimit(READS_AT_ONCE);

  constructor(
    blobs: BlobStore,
    index: ManifestIndexes,
    onDamage?: ReportDamage,
    cacheBytes = CACHE_BYTES,
  ) {
    this.#blobs = blobs;
    this.#index = index;
    this.#onDamage = onDamage;
    this.#cache = new LRUCache({
      // The smallest bound that the cache takes holds no manifest.
      maxSize: Math.max(Math.ceil(cacheBytes), 1),
      sizeCalculation: ({ bytes }) => bytes.length + 256,
    });
  }

  /**
   * Stores the manifest and moves the tags to it: bytes, revision, referrer, tags. When it resolves all of it is
   * durable. A delete of the same manifest that runs beside it comes either before or after, never in between. Throws
   * DENIED, with nothing stored, when an immutable tag names another manifest.
   */
  async put(
    repository: RepositoryName,
    manifest: VerifiedManifest,
    tags: readonly Tag[],
    signal: AbortSignal,
    isImmutable: IsImmutable = never,
  ): Promise<void> {
    const { bytes, digest } = manifest;
    await this.#requireMovable(repository, tags.filter(isImmutable), digest, signal);
    for (let attempt = 0; attempt < PUT_TRIES; attempt += 1) {
      await this.#blobs.put(digest, bytes, bytes.length, signal);
      crashPoint('manifest.stored');
      await this.#putMembership(repository, manifest, signal);
      for (const tag of tags) {
        await this.#withTag(repository, tag, signal, async () => {
          if (isImmutable(tag)) await this.#requireMovable(repository, [tag], digest, signal);
          await this.#index.tags.set(repository, tag, digest, signal);
        });
      }
      // A delete that listed the tags before ours was written has left it naming nothing.
      if (
        tags.length === 0 ||
        (await this.#index.members.has(repository, 'manifest', digest, signal))
      ) {
        return;
      }
    }
    throw registryError('UNAVAILABLE', {
      message: 'the manifest is being deleted at the same time, try again',
      headers: { 'Retry-After': '1' },
    });
  }

  /** The manifest if it belongs to the repository. Throws StorageError when its bytes are damaged. */
  async get(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    if (!(await this.#index.members.has(repository, 'manifest', digest, signal))) return undefined;
    return this.getTagged(repository, digest, signal);
  }

  /** As `get`, for a digest that a tag of the repository names: the tag stands for the membership. */
  async getTagged(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const manifest = await this.#read(repository, digest, signal);
    if (!manifest) return undefined;
    const { bytes, mediaType, isCertain } = manifest;
    const recorded = isCertain
      ? undefined
      : await this.#index.manifestTypes.get(repository, digest, signal);
    return { digest, mediaType: recorded ?? mediaType, size: bytes.length, bytes };
  }

  /** Throws DENIED when an immutable tag names the manifest: it could be pushed anew with other content after that. */
  async requireNoImmutableTag(
    repository: RepositoryName,
    digest: Digest,
    isImmutable: IsImmutable,
    signal: AbortSignal,
  ): Promise<void> {
    const tags = (await this.#index.tags.list(repository, signal)).filter(isImmutable);
    await Promise.all(
      tags.map((tag) =>
        this.#limitReads(async () => {
          const named = await this.#index.tags.get(repository, tag, signal);
          if (named === digest) throw immutable(repository, tag);
        }),
      ),
    );
  }

  /** Removes the manifest and every tag that names it. False when it does not belong to the repository. */
  async delete(repository: RepositoryName, digest: Digest, signal: AbortSignal): Promise<boolean> {
    return (await this.deleteAll(repository, [digest], signal)) > 0;
  }

  /** As `delete` of each, but looks through the tags for all of them at once. Returns how many it removed. */
  async deleteAll(
    repository: RepositoryName,
    digests: readonly Digest[],
    signal: AbortSignal,
  ): Promise<number> {
    const subjects = await this.#subjectsOf(repository, digests, signal);
    if (subjects.size === 0) return 0;
    await this.#deleteTagsOf(repository, subjects, signal);
    crashPoint('manifest.tags-deleted');
    let removed = 0;
    for (const [digest, subject] of subjects) {
      if (subject) {
        await this.#index.referrers.remove(repository, subject, digest, signal);
        crashPoint('referrer.removed');
      }
      if (await this.#index.members.remove(repository, 'manifest', digest, signal)) removed += 1;
      crashPoint('manifest.unlinked');
    }
    // A push that wrote its tag after the first look, and found the revision still there, has been answered 201.
    await this.#deleteTagsOf(repository, subjects, signal);
    return removed;
  }

  async #requireMovable(
    repository: RepositoryName,
    tags: readonly Tag[],
    digest: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    for (const tag of tags) {
      const named = await this.#index.tags.get(repository, tag, signal);
      if (named !== undefined && named !== digest) throw immutable(repository, tag);
    }
  }

  async #putMembership(
    repository: RepositoryName,
    { bytes, digest, parsed }: VerifiedManifest,
    signal: AbortSignal,
  ): Promise<void> {
    // Written each time: the same bytes may have been pushed under another type before.
    if (!detectManifestType(bytes).isCertain) {
      await this.#index.manifestTypes.put(repository, digest, parsed.mediaType, signal);
    }
    await this.#index.members.add(repository, 'manifest', digest, signal);
    crashPoint('manifest.linked');
    if (parsed.subject) {
      const referrer = listedReferrer(parsed, digest, bytes.length);
      await this.#index.referrers.add(repository, parsed.subject.digest, referrer, signal);
      crashPoint('referrer.added');
    }
  }

  /** Of those that belong to the repository, what each refers to. */
  async #subjectsOf(
    repository: RepositoryName,
    digests: readonly Digest[],
    signal: AbortSignal,
  ): Promise<Map<Digest, Digest | undefined>> {
    const subjects = new Map<Digest, Digest | undefined>();
    await Promise.all(
      digests.map((digest) =>
        this.#limitReads(async () => {
          const subject = await this.#subjectOf(repository, digest, signal);
          const isMember = await this.#index.members.has(repository, 'manifest', digest, signal);
          if (isMember) subjects.set(digest, subject);
        }),
      ),
    );
    return subjects;
  }

  /** Undefined too for a manifest that is damaged, or that only another registry accepted: it can be deleted as well. */
  async #subjectOf(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    try {
      const manifest = await this.get(repository, digest, signal);
      return manifest && parseManifest(manifest.bytes, manifest.mediaType).subject?.digest;
    } catch (error) {
      const isOfContent = error instanceof RegistryError && error.code === 'MANIFEST_INVALID';
      if (isOfContent || error instanceof StorageError) return undefined;
      throw error;
    }
  }

  /**
   * Runs the work while nobody else moves or compares the tag: a delete must not take a tag that a push has just moved
   * elsewhere. Whoever waits too long goes on without.
   */
  async #withTag(
    repository: RepositoryName,
    tag: Tag,
    signal: AbortSignal,
    work: () => Promise<unknown>,
  ): Promise<void> {
    const lease = await this.#index.leases.acquire(`tag:${repository}:${tag}`, TAG_WAIT_MS, signal);
    try {
      await work();
    } finally {
      await lease?.release();
    }
  }

  async #deleteTagsOf(
    repository: RepositoryName,
    digests: { has(digest: Digest): boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const isOfThem = async (tag: Tag): Promise<boolean> => {
      const named = await this.#index.tags.get(repository, tag, signal);
      return named !== undefined && digests.has(named);
    };
    const tags = await this.#index.tags.list(repository, signal);
    await Promise.all(
      tags.map((tag) =>
        this.#limitReads(async () => {
          if (!(await isOfThem(tag))) return;
          await this.#withTag(repository, tag, signal, async () => {
            if (await isOfThem(tag)) await this.#index.tags.delete(repository, tag, signal);
          });
        }),
      ),
    );
  }

  async #read(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<CachedManifest | undefined> {
    const cached = this.#cache.get(digest);
    if (cached) return cached;
    const bytes = await this.#blobs.read(digest, MANIFEST_MAX_BYTES, signal);
    if (!bytes) {
      this.#onDamage?.({ kind: 'manifest-missing', repository, digest });
      return undefined;
    }
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      this.#onDamage?.({ kind: 'manifest-damaged', repository, digest });
      throw new StorageError('manifest.read', `the stored bytes of ${digest} are damaged`);
    }
    const manifest = { bytes, ...detectManifestType(bytes) };
    this.#cache.set(digest, manifest);
    return manifest;
  }
}
