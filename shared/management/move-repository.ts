import { isLinked, listLinks } from '../content/removal/stored-references.ts';
import type { RegistryIndex } from '../index/ports.ts';
import { mapBounded } from '../index/store/map-bounded.ts';
import { formatLink } from '../index/store/store-link.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/reference.ts';
import {
  layersFolder,
  manifestsFolder,
  manifestTypesFolder,
  ownRepositoryFolder,
  referrersOfRepository,
  tagHistoryFolder,
  tagHistoryKey,
  uploadsFolder,
} from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';

export interface MoveDependencies {
  readonly records: RecordStore;
  readonly index: Pick<RegistryIndex, 'members' | 'tags' | 'referrers' | 'manifestTypes'>;
}

/** Two names of repositories. */
export interface Move {
  readonly from: RepositoryName;
  readonly to: RepositoryName;
}

/**
 * Gives a repository all that another one has; its blobs stay where they are. In the commit order of pushes, so that at
 * each moment every tag there names a manifest with all it needs. Idempotent: what broke off is done once more.
 */
export async function copyRepository(
  { from, to }: Move,
  { records, index }: MoveDependencies,
  signal: AbortSignal,
): Promise<void> {
  const links = await listLinks(records, from, signal);
  for (const kind of ['blob', 'manifest'] as const) {
    const some = links.filter((link) => link.kind === kind);
    await mapBounded(some, async (link) => {
      if (!(await isLinked(records, link, signal))) return;
      await index.members.add(to, kind, link.digest, signal);
    });
  }
  await mapBounded(await digestsIn(records, manifestTypesFolder(from), signal), async (digest) => {
    const type = await index.manifestTypes.get(from, digest, signal);
    if (type !== undefined) await index.manifestTypes.put(to, digest, type, signal);
  });
  await eachReferrer({ records, index }, from, signal, async (subject, referrer) => {
    await index.referrers.add(to, subject, referrer, signal);
  });
  await mapBounded(await index.tags.list(from, signal), async (tag) => {
    await copyHistory(records, { from, to }, tag, signal);
    const digest = await index.tags.get(from, tag, signal);
    if (digest) await index.tags.set(to, tag, digest, signal);
  });
}

/** Takes everything out of a repository: tags first, then what they name. Idempotent. */
export async function emptyRepository(
  repository: RepositoryName,
  { records, index }: MoveDependencies,
  signal: AbortSignal,
): Promise<void> {
  await mapBounded(await index.tags.list(repository, signal), (tag) =>
    index.tags.delete(repository, tag, signal),
  );
  const links = await listLinks(records, repository, signal);
  for (const kind of ['manifest', 'blob'] as const) {
    await mapBounded(
      links.filter((link) => link.kind === kind),
      ({ digest }) => index.members.remove(repository, kind, digest, signal),
    );
  }
  await eachReferrer({ records, index }, repository, signal, async (subject, { digest }) => {
    await index.referrers.remove(repository, subject, digest, signal);
  });
  for (const folder of [uploadsFolder, ownRepositoryFolder, manifestsFolder, layersFolder]) {
    await records.deleteTree(folder(repository), signal);
  }
}

async function copyHistory(
  records: RecordStore,
  { from, to }: Move,
  tag: Tag,
  signal: AbortSignal,
): Promise<void> {
  const folder = tagHistoryFolder(from, tag);
  for (const { name: algorithm } of await records.list(folder, {}, signal)) {
    for (const { name } of await records.list(`${folder}/${algorithm}`, {}, signal)) {
      const digest = parseDigest(`${algorithm}:${name}`);
      if (digest) await records.put(tagHistoryKey(to, tag, digest), formatLink(digest), signal);
    }
  }
}

type ReferrerWork = (
  subject: Digest,
  referrer: Parameters<RegistryIndex['referrers']['add']>[2],
) => Promise<void>;

async function eachReferrer(
  { records, index }: MoveDependencies,
  repository: RepositoryName,
  signal: AbortSignal,
  work: ReferrerWork,
): Promise<void> {
  for (const subject of await digestsIn(records, referrersOfRepository(repository), signal)) {
    for await (const some of index.referrers.list(repository, subject, undefined, signal)) {
      await mapBounded(some, (referrer) => work(subject, referrer));
    }
  }
}

/** Names of the form `<alg>-<hex>`. */
async function digestsIn(
  records: RecordStore,
  folder: string,
  signal: AbortSignal,
): Promise<Digest[]> {
  const children = await records.list(folder, {}, signal);
  return children
    .map(({ name }) => parseDigest(name.replace('-', ':')))
    .filter((digest) => digest !== undefined);
}
