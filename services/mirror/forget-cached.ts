import pLimit from 'p-limit';

import type { MemberKind, MembershipIndex, TagIndex } from '../../shared/index/ports.ts';
import { parseDigest } from '../../shared/oci/digest.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { layersFolder, revisionsFolder } from '../../shared/storage/object-keys.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';

const AT_ONCE = 16;

export interface ForgetOptions {
  readonly records: RecordStore;
  readonly tags: TagIndex;
  readonly members: MembershipIndex;
}

/**
 * Takes every tag and link from a cached repository. Its bytes stay in the store, and come back into the repository
 * where its upstream confirms them. Idempotent.
 */
export async function forgetCached(
  repository: RepositoryName,
  { records, tags, members }: ForgetOptions,
  signal: AbortSignal,
): Promise<void> {
  const limit = pLimit(AT_ONCE);
  const held = await tags.list(repository, signal);
  await Promise.all(held.map((tag) => limit(() => tags.delete(repository, tag, signal))));
  const folders: readonly (readonly [MemberKind, string])[] = [
    ['manifest', revisionsFolder(repository)],
    ['blob', layersFolder(repository)],
  ];
  for (const [kind, folder] of folders) {
    for (const algorithm of ['sha256', 'sha512']) {
      const links = await records.list(`${folder}/${algorithm}`, {}, signal);
      const digests = links.flatMap(({ name }) => parseDigest(`${algorithm}:${name}`) ?? []);
      await Promise.all(
        digests.map((digest) => limit(() => members.remove(repository, kind, digest, signal))),
      );
    }
  }
}
