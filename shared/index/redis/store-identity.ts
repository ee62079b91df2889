import { randomUUID } from 'node:crypto';

import { StorageError } from '../../storage/errors.ts';
import { storeIdKey } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';

const ID = /^[0-9a-f-]{36}$/;

/**
 * The id under which the store's entries stand in Redis, made when the store has none. Two processes that make it at
 * once may differ until they read it again; each asks at every listing of the journal, which is more often than a new
 * epoch needs to become warm, so neither has cached anything by then. Throws StorageError.
 */
export async function readStoreId(records: RecordStore, signal: AbortSignal): Promise<string> {
  const found = await records.get(storeIdKey, signal);
  if (found) return requireId(found);
  const made = { schemaVersion: 1, id: randomUUID() };
  await records.put(storeIdKey, Buffer.from(JSON.stringify(made)), signal);
  const kept = await records.get(storeIdKey, signal);
  if (!kept) throw new StorageError('index.store-id', `${storeIdKey} vanished`);
  return requireId(kept);
}

function requireId(bytes: Buffer): string {
  let id: unknown;
  try {
    id = (JSON.parse(bytes.toString('utf8')) as { id?: unknown } | null)?.id;
  } catch {
    id = undefined;
  }
  if (typeof id !== 'string' || !ID.test(id)) {
    throw new StorageError('index.store-id', `${storeIdKey} cannot be read`);
  }
  return id;
}
