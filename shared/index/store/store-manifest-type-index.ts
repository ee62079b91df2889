import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import { manifestTypeKey } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { ManifestTypeIndex } from '../ports.ts';
import { formatJsonRecord, manifestTypeRecordSchema, requireJsonRecord } from './json-record.ts';

/** Media types that manifests do not tell themselves, straight from the store. */
export class StoreManifestTypeIndex implements ManifestTypeIndex {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  async get(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const key = manifestTypeKey(repository, digest);
    const bytes = await this.#records.get(key, signal);
    return bytes && requireJsonRecord(bytes, manifestTypeRecordSchema, key).mediaType;
  }

  async put(
    repository: RepositoryName,
    digest: Digest,
    mediaType: string,
    signal: AbortSignal,
  ): Promise<void> {
    const record = formatJsonRecord({ schemaVersion: 1, mediaType });
    await this.#records.put(manifestTypeKey(repository, digest), record, signal);
  }
}
