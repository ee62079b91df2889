import { isLinked, listLinks } from '../../../shared/content/removal/stored-references.ts';
import { mapBounded } from '../../../shared/index/store/map-bounded.ts';
import type { Digest } from '../../../shared/oci/digest.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import type { BlobStore } from '../../../shared/storage/blob-store.ts';
import type { RecordStore } from '../../../shared/storage/record-store.ts';
import { parsedManifest } from './cache-survey.ts';

/**
 * What the manifests of a repository need that came after the survey; `surveyed` are those that it knows and that are
 * still there. Their blobs may have been linked long before, for images that go now. Throws what cannot be read.
 */
export async function laterNeeds(
  repository: RepositoryName,
  surveyed: ReadonlySet<Digest>,
  { records, blobs }: { readonly records: RecordStore; readonly blobs: BlobStore },
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const links = await listLinks(records, repository, signal);
  const later = links.filter(({ kind, digest }) => kind === 'manifest' && !surveyed.has(digest));
  const needed = new Set<Digest>();
  await mapBounded(later, async (link) => {
    if (!(await isLinked(records, link, signal))) return;
    const parsed = await parsedManifest(blobs, link.digest, signal);
    if (parsed?.config) needed.add(parsed.config.digest);
    for (const { digest } of parsed?.layers ?? []) needed.add(digest);
  });
  return needed;
}
