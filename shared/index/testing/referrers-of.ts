import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import type { RegistryIndex } from '../ports.ts';

/** All referrers that an index lists, in its order. */
export async function referrersOf(
  { referrers }: Pick<RegistryIndex, 'referrers'>,
  repository: RepositoryName,
  subject: Digest,
  after?: Digest,
): Promise<Descriptor[]> {
  const listed: Descriptor[] = [];
  const unending = new AbortController().signal;
  for await (const batch of referrers.list(repository, subject, after, unending)) {
    listed.push(...batch);
  }
  return listed;
}
