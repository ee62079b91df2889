import { randomUUID } from 'node:crypto';

import pLimit from 'p-limit';
import { z } from 'zod';

import type { Clock } from '../../lifecycle/clock.ts';
import { dirtyFolder, dirtyKey } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { IndexTiming } from './index-timing.ts';
import type { CacheKey } from './redis-keys.ts';
import { readStoreId } from './store-identity.ts';

const SUFFIX = '.json';
const READS_AT_ONCE = 16;
/** So many entries of this process may name keys at once; a longer outage takes entries for everything. */
const MAX_NAMED_ENTRIES = 32;

const entrySchema = z.object({
  schemaVersion: z.literal(1),
  keys: z.union([z.literal('all'), z.array(z.string())]),
});

type DirtyKeys = 'all' | ReadonlySet<string>;

/** A journal entry as this process knows it. */
export interface JournalEntry {
  readonly id: string;
  readonly keys: DirtyKeys;
  /** When its keys may be forgotten in Redis and the entry be removed: every write under it has ended by then. */
  settleAtMs: number;
}

/** An entry that a mutation of this process runs under. */
export interface HeldEntry {
  /** The write ended, whether it succeeded or not, or (`isSettled` false) may still take effect in the store. */
  finish(isSettled: boolean): void;
}

interface OwnEntry extends JournalEntry {
  /** Mutations under way. */
  users: number;
  /** Until when a failed write under it may still take effect. */
  unsettledUntilMs: number;
  /** Until when further mutations may begin under it. */
  reuseUntilMs: number;
}

/**
 * What writers leave in the store when they cannot mark their keys in Redis: objects below `dirty/` that name the
 * keys, written before the store write that they announce. While an entry stands its keys are read from the store.
 *
 * Why answers are stale for at most the trust period: a replica that has not seen the entry listed the folder before
 * the entry was there, and stops trusting Redis one trust period after that listing began.
 *
 * Why an entry may be removed without knowing who saw it: it is removed only after its keys were forgotten in Redis,
 * and they are forgotten only after its writes have ended. A replica that never saw it then finds nothing in Redis
 * that is older than the write; a fill or an install that began before is refused, since forgetting a key takes its
 * generation away. The writer knows when its write ended. Others know no more than that each write under the entry
 * began at most `journalReuseMs` after the entry was written and gave up `writeDeadlineMs` after it began, and count
 * both from when they first saw the entry, by their own clock.
 */
export class DirtyJournal {
  readonly #records: RecordStore;
  readonly #clock: Clock;
  readonly #timing: IndexTiming;
  readonly #entries = new Map<string, JournalEntry>();
  readonly #own = new Map<string, OwnEntry>();
  #listedAtMs = -Infinity;
  #storeId: string | undefined;
  #openingForAll: Promise<OwnEntry> | undefined;

  constructor(records: RecordStore, clock: Clock, timing: IndexTiming) {
    this.#records = records;
    this.#clock = clock;
    this.#timing = timing;
  }

  /**
   * The id of the store while Redis may be believed: the folder was listed within the trust period. Ask before Redis
   * is asked and again with its answer in hand.
   */
  get trustedStoreId(): string | undefined {
    const age = this.#clock.monotonicMs() - this.#listedAtMs;
    return age < this.#timing.trustMs ? this.#storeId : undefined;
  }

  /** True while an entry that stands names the key. */
  isDirty(key: CacheKey): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.keys === 'all' || entry.keys.has(key)) return true;
    }
    return false;
  }

  /** Lists the folder; what is new in it is believed before this resolves. Throws StorageError. */
  async refresh(signal: AbortSignal): Promise<void> {
    const startedAtMs = this.#clock.monotonicMs();
    const storeId = await readStoreId(this.#records, signal);
    const children = await this.#records.list(dirtyFolder, {}, signal);
    const ids = children
      .filter((child) => !child.isFolder && child.name.endsWith(SUFFIX))
      .map((child) => child.name.slice(0, -SUFFIX.length));
    const limit = pLimit(READS_AT_ONCE);
    const unknown = ids.filter((id) => !this.#entries.has(id));
    await Promise.all(unknown.map((id) => limit(() => this.#learn(id, signal))));
    const present = new Set(ids);
    for (const id of this.#entries.keys()) {
      if (!present.has(id) && !this.#own.has(id)) this.#entries.delete(id);
    }
    this.#storeId = storeId;
    this.#listedAtMs = startedAtMs;
  }

  /** Leaves an entry for the keys and holds it. When this resolves the store write may begin. Throws StorageError. */
  async open(keys: readonly CacheKey[], signal: AbortSignal): Promise<HeldEntry> {
    const now = this.#clock.monotonicMs();
    for (const entry of this.#own.values()) {
      if (entry.keys === 'all' && now < entry.reuseUntilMs) return this.#hold(entry);
    }
    if (this.#own.size < MAX_NAMED_ENTRIES) {
      return this.#hold(await this.#write(new Set(keys), now, signal));
    }
    return this.#hold(await this.#openForAll());
  }

  /** Entries whose keys are to be forgotten now. No mutation begins under one that was given out here. */
  takeDue(): JournalEntry[] {
    const now = this.#clock.monotonicMs();
    const due = [...this.#entries.values()].filter(
      (entry) => now >= entry.settleAtMs && !this.#own.get(entry.id)?.users,
    );
    for (const { id } of due) {
      const own = this.#own.get(id);
      if (own) own.reuseUntilMs = -Infinity;
    }
    return due;
  }

  /** Removes an entry whose keys were forgotten in Redis. Throws StorageError; then it stands as before. */
  async remove(entry: JournalEntry, signal: AbortSignal): Promise<void> {
    await this.#records.delete(dirtyKey(entry.id), signal);
    this.#own.delete(entry.id);
    this.#entries.delete(entry.id);
  }

  async #learn(id: string, signal: AbortSignal): Promise<void> {
    const bytes = await this.#records.get(dirtyKey(id), signal);
    if (!bytes || this.#entries.has(id)) return;
    const { journalReuseMs, writeDeadlineMs } = this.#timing;
    const settleAtMs = this.#clock.monotonicMs() + journalReuseMs + writeDeadlineMs;
    this.#entries.set(id, { id, keys: parseKeys(bytes), settleAtMs });
  }

  async #openForAll(): Promise<OwnEntry> {
    this.#openingForAll ??= this.#write(
      'all',
      this.#clock.monotonicMs(),
      AbortSignal.timeout(this.#timing.writeDeadlineMs),
    ).finally(() => {
      this.#openingForAll = undefined;
    });
    return await this.#openingForAll;
  }

  async #write(keys: DirtyKeys, now: number, signal: AbortSignal): Promise<OwnEntry> {
    const { journalReuseMs, writeDeadlineMs } = this.#timing;
    const entry: OwnEntry = {
      id: randomUUID(),
      keys,
      settleAtMs: Infinity,
      users: 0,
      unsettledUntilMs: -Infinity,
      reuseUntilMs: -Infinity,
    };
    const body = { schemaVersion: 1, keys: keys === 'all' ? keys : [...keys] };
    // Believed here from now on. If the put fails it may stand all the same, and is settled like any other.
    this.#own.set(entry.id, entry);
    this.#entries.set(entry.id, entry);
    try {
      await this.#records.put(dirtyKey(entry.id), Buffer.from(JSON.stringify(body)), signal);
      if (keys === 'all') entry.reuseUntilMs = now + journalReuseMs;
    } finally {
      entry.settleAtMs = this.#clock.monotonicMs() + writeDeadlineMs;
    }
    return entry;
  }

  #hold(entry: OwnEntry): HeldEntry {
    entry.users += 1;
    return {
      finish: (isSettled) => {
        const now = this.#clock.monotonicMs();
        entry.users -= 1;
        if (!isSettled) entry.unsettledUntilMs = now + this.#timing.writeDeadlineMs;
        entry.settleAtMs = Math.max(now, entry.unsettledUntilMs);
      },
    };
  }
}

function parseKeys(bytes: Buffer): DirtyKeys {
  try {
    const { keys } = entrySchema.parse(JSON.parse(bytes.toString('utf8')));
    return keys === 'all' ? keys : new Set(keys);
  } catch {
    // Written by a later version, or damaged: it may mean anything.
    return 'all';
  }
}
