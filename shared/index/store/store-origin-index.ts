import type { RepositoryName } from '../../oci/reference.ts';
import { originKey } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { OriginIndex, OriginMarker } from '../ports.ts';
import { formatJsonRecord, originMarkerSchema, requireJsonRecord } from './json-record.ts';

/** Origin markers straight from the store. */
export class StoreOriginIndex implements OriginIndex {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  async get(repository: RepositoryName, signal: AbortSignal): Promise<OriginMarker | undefined> {
    const key = originKey(repository);
    const bytes = await this.#records.get(key, signal);
    return bytes && requireJsonRecord(bytes, originMarkerSchema, key);
  }

  async put(repository: RepositoryName, marker: OriginMarker, signal: AbortSignal): Promise<void> {
    await this.#records.put(originKey(repository), formatJsonRecord(marker), signal);
  }
}
