import { randomUUID } from 'node:crypto';

import { type MadeOnce, readMadeOnce } from '../../storage/made-once.ts';
import { storeIdKey } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';

const STORE_ID: MadeOnce = {
  key: storeIdKey,
  operation: 'index.store-id',
  field: 'id',
  pattern: /^[0-9a-f-]{36}$/,
  make: randomUUID,
};

/**
 * The id under which the store's entries stand in Redis, made when the store has none. Two processes that make it at
 * once may differ until they read it again; each asks at every listing of the journal, which is more often than a new
 * epoch needs to become warm, so neither has cached anything by then. Throws StorageError.
 */
export const readStoreId = (records: RecordStore, signal: AbortSignal): Promise<string> =>
  readMadeOnce(records, STORE_ID, signal);
