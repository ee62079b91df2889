import { StorageError } from '../storage/errors.ts';
import { probeKey } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';

const key = probeKey('ready');

/** Leaves the record in the store that `askStore` looks for. Only for a store that `checkStore` found usable. */
export async function markStore(records: RecordStore, signal: AbortSignal): Promise<void> {
  // A store that is full or read-only for the moment must not keep a registry from starting again.
  if ((await records.get(key, signal)) !== undefined) return;
  try {
    await records.put(key, Buffer.from('twinport'), signal);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    const message = `this store has not been used before and cannot be written (${key}): the first start needs leave to write, later ones of a mirror do not`;
    throw new StorageError('store.mark', message, error);
  }
}

/**
 * A small read that shows that the store is there. A data folder that was removed or unmounted has no records and no
 * errors: the absence of what `markStore` left is one.
 */
export async function askStore(records: RecordStore, signal: AbortSignal): Promise<void> {
  if ((await records.get(key, signal)) !== undefined) return;
  throw new StorageError('store.probe', `${key} is gone: this is not the store of the start`);
}
