import type { Digest } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { childPlatforms, isPlatform } from '../../oci/platform.ts';
import type { ManifestReference } from '../../oci/reference.ts';
import { neededBlobs } from '../held-content.ts';

/** One repository to be warmed, through whatever serves it. What cannot be had is thrown as an Error to be shown. */
export interface WarmSource {
  manifest(
    reference: ManifestReference,
  ): Promise<{ readonly bytes: Buffer; readonly mediaType: string }>;
  /** Resolves when the blob is held: `fetched` when it was not before. */
  blob(digest: Digest, bytes: number): Promise<'held' | 'fetched'>;
}

export interface WarmedImage {
  readonly manifests: number;
  readonly blobs: number;
  /** Of these so many were not held before. */
  readonly fetchedBlobs: number;
  readonly fetchedBytes: number;
}

/** Indexes lie in indexes no deeper than this for anybody. */
const MAX_DEPTH = 3;

/**
 * Pulls everything of an image; of an index the children of the platforms (`linux/arm64`), or all where none is named.
 * One blob after the other: who warms many images does so at once.
 */
export async function warmImage(
  reference: ManifestReference,
  platforms: readonly string[],
  source: WarmSource,
  depth = 0,
): Promise<WarmedImage> {
  const { bytes, mediaType } = await source.manifest(reference);
  const parsed = parseManifest(bytes, mediaType);
  if (parsed.kind === 'image') {
    let warmed: WarmedImage = { manifests: 1, blobs: 0, fetchedBlobs: 0, fetchedBytes: 0 };
    for (const { digest, size } of neededBlobs(parsed)) {
      const isFetched = (await source.blob(digest, size)) === 'fetched';
      warmed = sum(warmed, {
        manifests: 0,
        blobs: 1,
        fetchedBlobs: isFetched ? 1 : 0,
        fetchedBytes: isFetched ? size : 0,
      });
    }
    return warmed;
  }
  if (depth >= MAX_DEPTH) throw new Error('its indexes lie too deep in one another');
  const platformOf = childPlatforms(bytes);
  const wanted = parsed.manifests.filter(({ digest }) => {
    const platform = platformOf.get(digest);
    if (platforms.length === 0) return true;
    return platform !== undefined && platforms.some((asked) => isPlatform(asked, platform));
  });
  if (wanted.length === 0 && parsed.manifests.length > 0) {
    throw new Error(`it has nothing for ${platforms.join(', ')}`);
  }
  let warmed: WarmedImage = { manifests: 1, blobs: 0, fetchedBlobs: 0, fetchedBytes: 0 };
  for (const { digest } of wanted) {
    const child = await warmImage({ kind: 'digest', digest }, platforms, source, depth + 1);
    warmed = sum(warmed, child);
  }
  return warmed;
}

const sum = (a: WarmedImage, b: WarmedImage): WarmedImage => ({
  manifests: a.manifests + b.manifests,
  blobs: a.blobs + b.blobs,
  fetchedBlobs: a.fetchedBlobs + b.fetchedBlobs,
  fetchedBytes: a.fetchedBytes + b.fetchedBytes,
});
