import type { MembershipIndex } from '../index/ports.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/reference.ts';
import { revisionsFolder } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';

const ALGORITHMS = ['sha256', 'sha512'] as const;

interface ListManifestsDependencies {
  readonly records: RecordStore;
  readonly members: Pick<MembershipIndex, 'has'>;
}

/** The manifests of a repository that come after one, sorted by digest, at most so many. */
export async function listManifests(
  { records, members }: ListManifestsDependencies,
  repository: RepositoryName,
  { after, limit }: { readonly after: Digest | undefined; readonly limit: number },
  signal: AbortSignal,
): Promise<Digest[]> {
  const found: Digest[] = [];
  for (const algorithm of ALGORITHMS) {
    const folder = `${revisionsFolder(repository)}/${algorithm}`;
    for (const { name } of await records.list(folder, {}, signal)) {
      const digest = parseDigest(`${algorithm}:${name}`);
      if (!digest || (after !== undefined && digest <= after)) continue;
      // A folder may be left of a manifest that was deleted.
      if (!(await members.has(repository, 'manifest', digest, signal))) continue;
      found.push(digest);
      if (found.length === limit) return found;
    }
  }
  return found;
}
