import pLimit from 'p-limit';

import type { ManifestStore, VerifiedManifest } from '../../../shared/content/manifest-store.ts';
import { immutableTagsOf } from '../../../shared/content/immutable-tags.ts';
import type { LinkRefresh } from '../../../shared/content/removal/link-refresh.ts';
import type { PushNames } from '../../../shared/content/push-names.ts';
import type { MembershipIndex, MemberKind, ProjectRecord } from '../../../shared/index/ports.ts';
import type { Descriptor } from '../../../shared/oci/descriptor.ts';
import type { ProjectQuotas } from '../../../shared/management/quotas/project-quotas.ts';
import { type Digest, digestAlgorithm, digestOf } from '../../../shared/oci/digest.ts';
import { registryError } from '../../../shared/oci/errors.ts';
import { type ParsedManifest, parseManifest } from '../../../shared/oci/manifest.ts';
import { isForeignLayerType } from '../../../shared/oci/media-types.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../../shared/oci/reference.ts';
import type { BlobStore } from '../../../shared/storage/blob-store.ts';

const CHECKS_AT_ONCE = 16;
/** Missing digests that an error lists, and after which none is looked for: 4 MiB can name 28,000. */
const MAX_MISSING = 50;

export interface PushedManifest {
  readonly bytes: Buffer;
  readonly contentType: string | undefined;
  readonly reference: ManifestReference;
  /** Tags to be set beside the reference. */
  readonly tags: readonly Tag[];
}

export interface ManifestPushDependencies {
  readonly manifests: ManifestStore;
  readonly members: MembershipIndex;
  readonly links: LinkRefresh;
  readonly blobs: BlobStore;
  readonly names: Pick<PushNames, 'whileOpen'>;
  /** The project of a repository that may be pushed to. Throws DENIED, NAME_UNKNOWN. */
  readonly projectOf: (repository: RepositoryName, signal: AbortSignal) => Promise<ProjectRecord>;
  readonly quotas: Pick<ProjectQuotas, 'during'>;
  readonly manifestReferences: 'require' | 'allow-missing';
}

/** Takes manifests in: nothing of one is written before all of it was checked. */
export class ManifestPushService {
  readonly #deps: ManifestPushDependencies;

  constructor(deps: ManifestPushDependencies) {
    this.#deps = deps;
  }

  /**
   * Stores the manifest under its digest and moves the tags. Throws DIGEST_INVALID, MANIFEST_INVALID, DENIED for names
   * that may not be pushed to, and MANIFEST_BLOB_UNKNOWN when content that it names is not in the repository (I2).
   */
  async put(
    repository: RepositoryName,
    { bytes, contentType, reference, tags }: PushedManifest,
    signal: AbortSignal,
  ): Promise<VerifiedManifest> {
    const digest = requireDigest(bytes, reference);
    const parsed = parseManifest(bytes, contentType);
    const project = await this.#deps.projectOf(repository, signal);
    if (this.#deps.manifestReferences === 'require') {
      await this.#requireReferences(repository, parsed, signal);
    }
    const manifest = { bytes, parsed, digest };
    const all = reference.kind === 'tag' ? [reference.tag] : [...new Set(tags)];
    const { manifests, names, quotas } = this.#deps;
    await quotas.during(project, { digest, size: bytes.length }, signal, () =>
      names.whileOpen(repository, signal, () =>
        manifests.put(repository, manifest, all, signal, immutableTagsOf(project)),
      ),
    );
    return manifest;
  }

  async #requireReferences(
    repository: RepositoryName,
    parsed: ParsedManifest,
    signal: AbortSignal,
  ): Promise<void> {
    const { members, links, blobs: store } = this.#deps;
    // A link may outlive its bytes in a store that was damaged, or that another registry's garbage collector swept.
    const has = async (kind: MemberKind, digest: Digest): Promise<boolean> => {
      if (!(await members.has(repository, kind, digest, signal))) return false;
      const [stat] = await Promise.all([
        store.stat(digest, signal),
        links.refresh(repository, kind, digest, signal),
      ]);
      return stat !== undefined;
    };
    const limit = pLimit(CHECKS_AT_ONCE);
    const blobs = distinctDigests([
      ...(parsed.config ? [parsed.config] : []),
      ...parsed.layers.filter((layer) => !isForeignLayerType(layer.mediaType)),
    ]);
    const children = distinctDigests(parsed.manifests);
    const missing: Digest[] = [];
    const check = (digest: Digest, isHere: () => Promise<boolean>): Promise<void> =>
      limit(async () => {
        if (missing.length >= MAX_MISSING || (await isHere())) return;
        // Those that were looked for meanwhile may have filled the list.
        if (missing.length < MAX_MISSING) missing.push(digest);
      });
    await Promise.all([
      ...blobs.map((digest) => check(digest, () => has('blob', digest))),
      // An index may also list blobs: its children are of any media type.
      ...children.map((digest) =>
        check(digest, async () => (await has('manifest', digest)) || (await has('blob', digest))),
      ),
    ]);
    if (missing.length === 0) return;
    throw registryError('MANIFEST_BLOB_UNKNOWN', {
      detail: { digests: missing, isComplete: missing.length < MAX_MISSING },
    });
  }
}

function requireDigest(bytes: Buffer, reference: ManifestReference): Digest {
  if (reference.kind === 'tag') return digestOf(bytes);
  const digest = digestOf(bytes, digestAlgorithm(reference.digest));
  if (digest === reference.digest) return digest;
  throw registryError('DIGEST_INVALID', { detail: { expected: reference.digest, actual: digest } });
}

const distinctDigests = (descriptors: readonly Descriptor[]): Digest[] => [
  ...new Set(descriptors.map(({ digest }) => digest)),
];
