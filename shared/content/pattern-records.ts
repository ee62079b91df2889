import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import { mapBounded } from '../index/store/map-bounded.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { StorageError } from '../storage/errors.ts';
import { denyFolder, denyKey, pinKey, pinsFolder } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { parseRecord } from './record-json.ts';
import { parseReferencePattern, type ReferencePattern } from './reference-pattern.ts';

const schema = z.object({
  schemaVersion: z.literal(1),
  pattern: z.string(),
  reason: z.string().optional(),
  createdAt: z.string(),
});
const SUFFIX = '.json';

/** Where records of one purpose lie. */
export interface PatternPlace {
  readonly folder: string;
  readonly key: (id: string) => string;
}

/** What nobody may have. */
export const DENIED: PatternPlace = { folder: denyFolder, key: denyKey };
/** Cached images that stay. */
export const PINNED: PatternPlace = { folder: pinsFolder, key: pinKey };

export interface PatternRecord {
  readonly id: string;
  readonly pattern: ReferencePattern;
  readonly reason: string | undefined;
  /** RFC 3339. */
  readonly createdAt: string;
}

/** Patterns that operators have put into the store, one record each; a record never changes. */
export class PatternRecords {
  readonly #records: RecordStore;
  readonly #place: PatternPlace;
  #known = new Map<string, PatternRecord>();

  constructor(records: RecordStore, place: PatternPlace) {
    this.#records = records;
    this.#place = place;
  }

  /** All of them, the oldest first. A record that cannot be understood is a StorageError: it may forbid something. */
  async list(signal: AbortSignal): Promise<PatternRecord[]> {
    const children = await this.#records.list(this.#place.folder, {}, signal);
    const ids = children
      .filter(({ name, isFolder }) => !isFolder && name.endsWith(SUFFIX))
      .map(({ name }) => name.slice(0, -SUFFIX.length));
    const all = await mapBounded(ids, async (id) => this.#known.get(id) ?? this.#read(id, signal));
    const found = all.filter((record) => record !== undefined);
    this.#known = new Map(found.map((record) => [record.id, record]));
    return found.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  async add(
    pattern: ReferencePattern,
    reason: string | undefined,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<void> {
    const record = {
      schemaVersion: 1,
      pattern: pattern.text,
      ...(reason !== undefined && { reason }),
      createdAt: clock.now().toISOString(),
    };
    await this.remove(pattern, signal);
    const bytes = Buffer.from(JSON.stringify(record));
    await this.#records.put(this.#place.key(randomUUID()), bytes, signal);
  }

  /** False when there was none of exactly this pattern. */
  async remove(pattern: ReferencePattern, signal: AbortSignal): Promise<boolean> {
    const same = (await this.list(signal)).filter((record) => record.pattern.text === pattern.text);
    for (const { id } of same) await this.#records.delete(this.#place.key(id), signal);
    return same.length > 0;
  }

  async #read(id: string, signal: AbortSignal): Promise<PatternRecord | undefined> {
    const key = this.#place.key(id);
    const bytes = await this.#records.get(key, signal);
    if (!bytes) return undefined;
    const record = parseRecord(schema, bytes);
    // Names were resolved when the record was made.
    const pattern = record && parseReferencePattern(record.pattern, []);
    if (!pattern) throw new StorageError('pattern.read', `the record ${key} cannot be read`);
    return { id, pattern, reason: record.reason, createdAt: record.createdAt };
  }
}
