import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, parseDigest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import { referrerKey, referrerRecordName, referrersFolder } from '../../storage/object-keys.ts';
import type { RecordChild, RecordStore } from '../../storage/record-store.ts';
import type { ReferrerIndex } from '../ports.ts';
import { formatJsonRecord, referrerRecordSchema, requireJsonRecord } from './json-record.ts';
import { mapBounded, READ_CONCURRENCY } from './map-bounded.ts';

/** Names of records that are listed at once. */
const NAMES_AT_ONCE = 5_000;
/** A batch of records is meant to have about this many bytes at most, by the largest that was seen before it. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** Records of the first batch, before which no size is known. */
const FIRST_BATCH = READ_CONCURRENCY / 2;

interface ReferrerRecord {
  readonly descriptor: Descriptor;
  readonly bytes: number;
}

/** Referrers straight from the store: one record each under the folder of their subject. */
export class StoreReferrerIndex implements ReferrerIndex {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  async *list(
    repository: RepositoryName,
    subject: Digest,
    after: Digest | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Descriptor[]> {
    const folder = referrersFolder(repository, subject);
    let last = after === undefined ? '' : referrerRecordName(after);
    let largest = 0;
    for (;;) {
      const limits = { after: last, limit: NAMES_AT_ONCE };
      const children = await this.#records.list(folder, limits, signal);
      for (let from = 0; from < children.length;) {
        const size = batchSize(largest);
        const names = children.slice(from, from + size);
        const records = await mapBounded(names, (child) =>
          this.#read(repository, subject, child, signal),
        );
        const found = records.filter((record) => record !== undefined);
        yield found.map(({ descriptor }) => descriptor);
        largest = Math.max(largest, ...found.map(({ bytes }) => bytes));
        from += size;
      }
      if (children.length < NAMES_AT_ONCE) return;
      last = children.at(-1)?.name ?? '';
    }
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

  async #read(
    repository: RepositoryName,
    subject: Digest,
    { name }: RecordChild,
    signal: AbortSignal,
  ): Promise<ReferrerRecord | undefined> {
    const digest = parseDigest(name.replace('-', ':'));
    if (!digest) return undefined;
    const key = referrerKey(repository, subject, digest);
    const bytes = await this.#records.get(key, signal);
    if (!bytes) return undefined;
    const { descriptor } = requireJsonRecord(bytes, referrerRecordSchema, key);
    return { descriptor, bytes: bytes.length };
  }
}

function batchSize(largest: number): number {
  if (largest === 0) return FIRST_BATCH;
  return Math.min(READ_CONCURRENCY, Math.max(1, Math.floor(BATCH_BYTES / largest)));
}
