import { z } from 'zod';

import { parseRecord } from '../../shared/content/record-json.ts';
import type { RepositoryName, Tag } from '../../shared/oci/reference.ts';
import { confirmationKey } from '../../shared/storage/object-keys.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';

const confirmationSchema = z.object({ schemaVersion: z.literal(1), confirmedAt: z.string() });

/** When cached tags were last confirmed by their upstream, as the store remembers it. Times are Unix milliseconds. */
export class ConfirmationRecords {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  /** Undefined also for what cannot be read: a time that nobody knows is no fault. */
  async get(
    repository: RepositoryName,
    tag: Tag,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const bytes = await this.#records.get(confirmationKey(repository, tag), signal);
    const record = bytes && parseRecord(confirmationSchema, bytes);
    const ms = Date.parse(record?.confirmedAt ?? '');
    return Number.isNaN(ms) ? undefined : ms;
  }

  async put(
    repository: RepositoryName,
    tag: Tag,
    confirmedAtMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const record = { schemaVersion: 1, confirmedAt: new Date(confirmedAtMs).toISOString() };
    const bytes = Buffer.from(JSON.stringify(record), 'utf8');
    await this.#records.put(confirmationKey(repository, tag), bytes, signal);
  }

  async delete(repository: RepositoryName, tag: Tag, signal: AbortSignal): Promise<void> {
    await this.#records.delete(confirmationKey(repository, tag), signal);
  }
}
