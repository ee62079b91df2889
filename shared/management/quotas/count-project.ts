import type { LRUCache } from 'lru-cache';

import { isLinked, listLinks } from '../../content/removal/stored-references.ts';
import type { OriginIndex } from '../../index/ports.ts';
import { mapBounded } from '../../index/store/map-bounded.ts';
import { repositoriesBelow } from '../../index/store/store-catalog.ts';
import type { Digest } from '../../oci/digest.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { RecordStore } from '../../storage/record-store.ts';

export interface CountDependencies {
  readonly records: RecordStore;
  readonly origins: OriginIndex;
  readonly blobs: Pick<BlobStore, 'stat'>;
  /** Sizes that are known: what has a digest does not change. */
  readonly sizes?: LRUCache<Digest, number> | undefined;
}

/**
 * The sizes of all blobs and manifests that were pushed to a project, each once, by the links of the store. Copies of an
 * upstream's repositories under the same name do not count.
 */
export async function countProject(
  project: string,
  { records, origins, blobs, sizes }: CountDependencies,
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, number>> {
  const found = new Map<Digest, number>();
  for (const repository of await repositoriesBelow(records, project, signal)) {
    if (await origins.get(repository, signal)) continue;
    const links = await listLinks(records, repository, signal);
    await mapBounded(links, async (link) => {
      const { digest } = link;
      if (found.has(digest) || !(await isLinked(records, link, signal))) return;
      const size = sizes?.get(digest) ?? (await blobs.stat(digest, signal))?.size;
      // A link may outlive its bytes in a damaged store.
      if (size === undefined) return;
      sizes?.set(digest, size);
      found.set(digest, size);
    });
  }
  return found;
}
