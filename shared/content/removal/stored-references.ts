import type { Catalog } from '../../index/ports.ts';
import { type Digest, parseDigest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import {
  layerLinkKey,
  layersFolder,
  revisionLinkKey,
  revisionsFolder,
} from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import { mapBounded } from '../../index/store/map-bounded.ts';

export interface StoredReferencesOptions {
  readonly records: RecordStore;
  /** Of the store itself. */
  readonly catalog: Catalog;
}

/** One link of a repository, as the store lists it. */
export interface ListedLink {
  readonly repository: RepositoryName;
  readonly kind: 'blob' | 'manifest';
  readonly digest: Digest;
}

/** The names in the folders of a repository's links. On files a folder may be left without its link. */
export async function listLinks(
  records: RecordStore,
  repository: RepositoryName,
  signal: AbortSignal,
): Promise<ListedLink[]> {
  const links: ListedLink[] = [];
  for (const [kind, folder] of [
    ['blob', layersFolder(repository)],
    ['manifest', revisionsFolder(repository)],
  ] as const) {
    for (const { name: algorithm } of await records.list(folder, {}, signal)) {
      for (const { name } of await records.list(`${folder}/${algorithm}`, {}, signal)) {
        const digest = parseDigest(`${algorithm}:${name}`);
        if (digest) links.push({ repository, kind, digest });
      }
    }
  }
  return links;
}

/** Whether the link is there, asked of the store itself. */
export async function isLinked(
  records: RecordStore,
  { repository, kind, digest }: ListedLink,
  signal: AbortSignal,
): Promise<boolean> {
  const key =
    kind === 'blob' ? layerLinkKey(repository, digest) : revisionLinkKey(repository, digest);
  return (await records.get(key, signal)) !== undefined;
}

/**
 * Those of the digests to which any repository has a link, by the store itself and all of it. Whatever cannot be read
 * is thrown: then nobody knows, and nothing may be removed.
 */
export async function storedReferences(
  digests: ReadonlySet<Digest>,
  { records, catalog }: StoredReferencesOptions,
  signal: AbortSignal,
): Promise<Set<Digest>> {
  const referenced = new Set<Digest>();
  if (digests.size === 0) return referenced;
  await mapBounded(await catalog.repositories(signal), async (repository) => {
    for (const link of await listLinks(records, repository, signal)) {
      if (!digests.has(link.digest) || referenced.has(link.digest)) continue;
      if (await isLinked(records, link, signal)) referenced.add(link.digest);
    }
  });
  return referenced;
}
