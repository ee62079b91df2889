import type { StoreTraits } from '../../shared/observability/health.ts';
import type { Log } from '../../shared/observability/observer.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import type { StoreFindings } from '../../shared/storage/store-findings.ts';

/** A probe that takes longer is given up: what it shows is good to know, and nothing waits for it. */
const PROBE_MS = 20_000;

/** What it means for those who run the registry that a store lacks a trait. */
const WHEN_LACKING: Readonly<Record<string, string>> = {
  'read-after-write':
    'the store does not show at once what was written: pushes may fail, and pulls right after a push',
  'list-after-write':
    'listings of the store lag behind: tags and repositories may be listed late, while pulls by name are right',
  'list-after-delete':
    'listings of the store lag behind: a deleted tag or repository may be listed for a while',
  'delete-of-what-is-not-there':
    'the store refuses to delete what is not there: removing unfinished uploads may fail',
  'case-sensitive': 'two tags that differ in case alone are one in this store',
  'folders-synchronised': 'a power failure may lose the last pushes on this file system',
  'rename-replaces': 'files are not replaced in one step here: pulls during a push may fail',
  'long-names': 'the store does not take the longest names of repositories',
  'long-keys': 'the store does not take the longest names of repositories with the longest tags',
  ranges: 'the store does not serve parts of objects: broken downloads begin again',
  copies: 'the store cannot copy objects: large uploads in several requests fail',
  'copies-in-parts':
    'the store cannot copy in parts: large uploads in several requests fail above S3_MULTIPART_COPY_BYTES',
  'listed-in-byte-order': 'the store lists in an order of its own: pages of referrers may overlap',
  'listing-after-a-key': 'the store lists from the beginning alone: pages of referrers are slow',
};

/**
 * Finds out what the store really guarantees and tells it: one line for each trait that is missing and matters, one for
 * all. Never rejects. Nothing depends on the result; what is served is right whatever it says.
 */
export async function findStoreTraits(
  probe: (signal: AbortSignal) => Promise<StoreFindings>,
  log: Log,
  signal: AbortSignal,
): Promise<StoreTraits> {
  try {
    const found = await probe(AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]));
    const traits: Record<string, boolean | 'unknown'> = { writable: found.isWritable };
    for (const { trait, holds = 'unknown' } of found.findings) traits[trait] = holds;
    if (!signal.aborted) tell(found, traits, log);
    return traits;
  } catch (error) {
    if (!signal.aborted) {
      const reason = error instanceof StorageError ? error.message : String(error);
      log.warn({ reason }, 'what the store guarantees could not be found out');
    }
    return {};
  }
}

function tell({ isWritable, findings }: StoreFindings, traits: StoreTraits, log: Log): void {
  if (!isWritable) {
    log.warn({}, 'the store refuses to be written: nothing can be pushed or cached');
    return;
  }
  for (const { trait, holds } of findings) {
    const message = WHEN_LACKING[trait];
    if (holds === false && message !== undefined) log.warn({ trait }, message);
  }
  log.info({ traits }, 'what the store guarantees');
}
