import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { parseManifestReference, parseRepositoryName } from '../../../shared/oci/reference.ts';
import type { TestMirror } from './start-test-mirror.ts';

/** Resolves when the store has a manifest that was pulled, also under its tag: clients get it before. */
export async function untilStored(
  { store }: Pick<TestMirror, 'store'>,
  reference: string,
  repository = 'mirror/library/hello',
): Promise<void> {
  const { tags, members } = store.index;
  const name = parseRepositoryName(repository)!;
  const signal = new AbortController().signal;
  const parsed = parseManifestReference(reference)!;
  await until(async () =>
    parsed.kind === 'tag'
      ? (await tags.get(name, parsed.tag, signal)) !== undefined
      : members.has(name, 'manifest', parsed.digest, signal),
  );
}
