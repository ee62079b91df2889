import { foreignProxyCacheKey, ownFolder, probeFolder } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';

/** The store must not be served as it is; the message says what to do. */
class UnusableStoreError extends Error {
  override readonly name = 'UnusableStoreError';
}

/**
 * Refuses a store that is the proxy cache of the CNCF distribution registry: its repositories look like pushed ones
 * but are copies of an upstream, private ones among them. Called before anything is written to the store.
 */
export async function checkStore(records: RecordStore, signal: AbortSignal): Promise<void> {
  if ((await records.get(foreignProxyCacheKey, signal)) === undefined) return;
  // The probe is left by every start, so it does not tell that the content was taken over.
  const own = await records.list(ownFolder, { limit: 2 }, signal);
  if (own.some(({ name }) => `${ownFolder}/${name}` !== probeFolder)) return;
  throw new UnusableStoreError(
    `this store is the pull-through cache of another registry (it has ${foreignProxyCacheKey}): ` +
      'its content was never pushed and must be marked as cached before it is served. ' +
      'Run `twinport adopt-cache` on it first, or use another store.',
  );
}
