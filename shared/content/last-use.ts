import { LRUCache } from 'lru-cache';
import { z } from 'zod';

import type { OriginIndex } from '../index/ports.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { Log } from '../observability/observer.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/reference.ts';
import { lastUseKey } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { parseRecord } from './record-json.ts';

/** Uses within one such time are one use. */
const GRAIN_MS = 60 * 60 * 1000;
/** With what the store takes, less than `usesToldMs` of the removal protocol: eviction waits for it. */
const FLUSH_MS = 10 * 1000;
/** Uses that a process remembers to have told already; one that is forgotten is told again. */
const MAX_TOLD = 50_000;
const MAX_PENDING = 50_000;
/** When so many repositories cannot be written, the store takes nothing. */
const MAX_FAULTS = 10;
/** Manifests of one repository in its record; beyond that the longest unused are left out. */
const MAX_RECORDED = 20_000;

const schema = z.object({
  schemaVersion: z.literal(1),
  /** Digest -> the hour of the last use, since 1970. */
  manifests: z.record(z.string(), z.number().int()),
});

export interface LastUseOptions {
  readonly records: RecordStore;
  readonly origins: OriginIndex;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * When cached manifests were last pulled, to the hour. Noted in memory and written every ten seconds, one record a cached
 * repository, so that it survives restarts and all processes add to it. A note is dropped when the record was read with
 * it: what another process overwrote at the same time is written again.
 */
export class LastUse {
  readonly #options: LastUseOptions;
  readonly #told = new LRUCache<string, number>({ max: MAX_TOLD });
  readonly #pending = new Map<RepositoryName, Map<Digest, number>>();
  #pendingCount = 0;

  constructor(options: LastUseOptions) {
    this.#options = options;
  }

  /** Costs a look-up in memory. */
  touch(repository: RepositoryName, digest: Digest): void {
    const hour = Math.floor(this.#options.clock.now().getTime() / GRAIN_MS);
    const key = `${repository}@${digest}`;
    if (this.#told.get(key) === hour || this.#pendingCount >= MAX_PENDING) return;
    this.#told.set(key, hour);
    const notes = this.#pending.get(repository) ?? new Map<Digest, number>();
    this.#pending.set(repository, notes);
    if (!notes.has(digest)) this.#pendingCount += 1;
    notes.set(digest, hour);
  }

  /** Writes what was noted, of one repository whatever becomes of another. Throws StorageError; nothing is lost then. */
  async flush(signal: AbortSignal): Promise<void> {
    const faults: unknown[] = [];
    for (const [repository, notes] of [...this.#pending]) {
      try {
        await this.#flush(repository, notes, signal);
      } catch (error) {
        faults.push(error);
        // Behind those that may well be written.
        this.#pending.delete(repository);
        this.#pending.set(repository, notes);
        if (signal.aborted || faults.length === MAX_FAULTS) break;
      }
    }
    if (faults.length > 0) throw faults[0] as Error;
  }

  /** Flushes every ten seconds until the signal aborts, and a last time then. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (;;) {
      await clock.sleep(FLUSH_MS, signal).catch(() => undefined);
      const isLast = signal.aborted;
      try {
        await this.flush(isLast ? AbortSignal.timeout(3_000) : signal);
      } catch (error) {
        log.warn({ operation: 'last-use', err: error }, 'noting which images are used failed');
      }
      if (isLast) return;
    }
  }

  async #flush(
    repository: RepositoryName,
    notes: Map<Digest, number>,
    signal: AbortSignal,
  ): Promise<void> {
    const { records, origins } = this.#options;
    // What was pushed is never evicted.
    const isCached = (await origins.get(repository, signal)) !== undefined;
    const recorded = isCached ? await readHours(records, repository, signal) : undefined;
    const missing = new Map<Digest, number>();
    for (const [digest, hour] of notes) {
      if (recorded && (recorded.get(digest) ?? -1) < hour) missing.set(digest, hour);
      else if (notes.delete(digest)) this.#pendingCount -= 1;
    }
    if (notes.size === 0) this.#pending.delete(repository);
    if (!recorded || missing.size === 0) return;
    const all = [...recorded, ...missing].sort(([, a], [, b]) => b - a);
    const manifests = Object.fromEntries(new Map(all.slice(0, MAX_RECORDED).reverse()));
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 1, manifests }));
    await records.put(lastUseKey(repository), bytes, signal);
  }
}

/** When manifests of the repository were last used, as far as it was written down; to the hour, its end. */
export async function readLastUse(
  records: RecordStore,
  repository: RepositoryName,
  signal: AbortSignal,
): Promise<Map<Digest, Date>> {
  const hours = await readHours(records, repository, signal);
  return new Map([...hours].map(([digest, hour]) => [digest, new Date((hour + 1) * GRAIN_MS)]));
}

/** A record that cannot be understood tells nothing. */
async function readHours(
  records: RecordStore,
  repository: RepositoryName,
  signal: AbortSignal,
): Promise<Map<Digest, number>> {
  const bytes = await records.get(lastUseKey(repository), signal);
  const hours = new Map<Digest, number>();
  const record = bytes && parseRecord(schema, bytes);
  for (const [text, hour] of Object.entries(record?.manifests ?? {})) {
    const digest = parseDigest(text);
    if (digest) hours.set(digest, hour);
  }
  return hours;
}
