import { parseDigest } from '../../../shared/oci/digest.ts';
import { parseRepositoryName } from '../../../shared/oci/reference.ts';
import { unending } from '../../../shared/storage/testing/contract-support.ts';
import type { TestMirror } from './start-test-mirror.ts';

/** Whether the repository of the store has the blob, or the manifest. */
export const isLinked = (
  { store }: Pick<TestMirror, 'store'>,
  digest: string,
  repository = 'mirror/library/hello',
  kind: 'blob' | 'manifest' = 'blob',
): Promise<boolean> =>
  store.index.members.has(parseRepositoryName(repository)!, kind, parseDigest(digest)!, unending);
