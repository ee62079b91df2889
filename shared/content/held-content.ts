import type { MembershipIndex } from '../index/ports.ts';
import { mapBounded } from '../index/store/map-bounded.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseManifest, type ParsedManifest } from '../oci/manifest.ts';
import { isForeignLayerType } from '../oci/media-types.ts';
import type { RepositoryName } from '../oci/reference.ts';
import type { ManifestContent } from './content-source.ts';
import type { ManifestStore } from './manifest-store.ts';

/** Indexes lie in indexes no deeper than this for anybody. */
const MAX_DEPTH = 3;

/** The blobs that a pull of the image fetches from the registry; foreign layers come from elsewhere, if at all. */
export function neededBlobs({ config, layers }: ParsedManifest): readonly Descriptor[] {
  const kept = layers.filter((layer) => !isForeignLayerType(layer.mediaType));
  const byDigest = new Map([...(config ? [config] : []), ...kept].map((one) => [one.digest, one]));
  return [...byDigest.values()];
}

/**
 * Which cached manifests are held: everything that a pull of them needs is here. Of an index one child is enough, since
 * a client asks for its own platform alone, and each child is looked at again when it is asked for.
 */
export class HeldContent {
  readonly #members: MembershipIndex;
  readonly #manifests: Pick<ManifestStore, 'get'>;

  constructor(members: MembershipIndex, manifests: Pick<ManifestStore, 'get'>) {
    this.#members = members;
    this.#manifests = manifests;
  }

  async isHeld(
    repository: RepositoryName,
    manifest: ManifestContent,
    signal: AbortSignal,
    depth = 0,
  ): Promise<boolean> {
    const parsed = parseManifest(manifest.bytes, manifest.mediaType);
    if (parsed.kind === 'image') {
      return (await this.missing(repository, parsed, signal)).length === 0;
    }
    if (parsed.manifests.length === 0) return true;
    if (depth >= MAX_DEPTH) return false;
    for (const { digest } of parsed.manifests) {
      const child = await this.#manifests.get(repository, digest, signal);
      if (child && (await this.isHeld(repository, child, signal, depth + 1))) return true;
    }
    return false;
  }

  /** The blobs of an image that do not belong to the repository. */
  async missing(
    repository: RepositoryName,
    image: ParsedManifest,
    signal: AbortSignal,
  ): Promise<readonly Descriptor[]> {
    const needed = neededBlobs(image);
    const areHere = await mapBounded(needed, ({ digest }) =>
      this.#members.has(repository, 'blob', digest, signal),
    );
    return needed.filter((_, position) => !areHere[position]);
  }
}
