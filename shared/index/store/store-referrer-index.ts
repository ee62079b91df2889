import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, parseDigest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import { referrerKey, referrersFolder } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { ReferrerIndex } from '../ports.ts';
import { formatJsonRecord, referrerRecordSchema, requireJsonRecord } from './json-record.ts';
import { mapBounded } from './map-bounded.ts';

/** Referrers straight from the store: one record each under the folder of their subject. */
export class StoreReferrerIndex implements ReferrerIndex {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  async list(
    repository: RepositoryName,
    subject: Digest,
    signal: AbortSignal,
  ): Promise<Descriptor[]> {
    const folder = referrersFolder(repository, subject);
    const children = await this.#records.list(folder, {}, signal);
    const descriptors = await mapBounded(children, async (child) => {
      const digest = parseDigest(child.name.replace('-', ':'));
      if (!digest) return undefined;
      const key = referrerKey(repository, subject, digest);
      const bytes = await this.#records.get(key, signal);
      return bytes && requireJsonRecord(bytes, referrerRecordSchema, key).descriptor;
    });
    return descriptors.filter((descriptor) => descriptor !== undefined);
  }

  async add(
    repository: RepositoryName,
    subject: Digest,
    referrer: Descriptor,
    signal: AbortSignal,
  ): Promise<void> {
    const record = formatJsonRecord({ schemaVersion: 1, descriptor: referrer });
    await this.#records.put(referrerKey(repository, subject, referrer.digest), record, signal);
  }

  async remove(
    repository: RepositoryName,
    subject: Digest,
    referrer: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#records.delete(referrerKey(repository, subject, referrer), signal);
  }
}
