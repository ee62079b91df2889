import { randomUUID } from 'node:crypto';

import type { Clock } from '../../lifecycle/clock.ts';
import { crashPoint } from '../../lifecycle/crash-point.ts';
import { StorageError } from '../../storage/errors.ts';
import type { DirtyJournal, JournalEntry } from './dirty-journal.ts';
import { EntryReads } from './entry-reads.ts';
import type { IndexTiming } from './index-timing.ts';
import { type CacheKey, entryKey } from './redis-keys.ts';
import type { OpenEpoch, RedisEpoch } from './redis-epoch.ts';
import { FILL_ENTRY, FORGET_ENTRIES, INSTALL_ENTRIES, MARK_ENTRIES } from './redis-scripts.ts';

/** Longer answers (lists of some 20,000 tags) are read from the store each time. */
const MAX_VALUE_LENGTH = 1024 * 1024;
/** A mutation whose mark was flushed this often goes on without Redis, which others learn of only in a while. */
const MARK_ATTEMPTS = 8;
/** Marks to take away later that are remembered; others lapse by themselves. */
const MAX_LEFT_MARKS = 1_000;

/** An answer that is known, which may be that there is nothing. */
interface Known<T> {
  readonly value: T | undefined;
}

/** One key that a mutation changes, and what is known of its answer afterwards. */
export interface Change {
  readonly key: CacheKey;
  /** The answer after the write, from the one before it if that is known; undefined when it must be read again. */
  readonly after: (before: Known<unknown> | undefined) => Known<unknown> | undefined;
}

/** After the write the answer is this. */
export const becomes = (key: CacheKey, value: unknown): Change => ({
  key,
  after: () => ({ value }),
});

/** After the write the answer follows from the one before. */
export const changes = <T>(key: CacheKey, next: (before: T) => T): Change => ({
  key,
  after: (before) => before && { value: next(before.value as T) },
});

/** A mutation's marks in Redis. */
interface Mark {
  readonly epoch: OpenEpoch;
  readonly token: string;
  readonly before: readonly (Known<unknown> | undefined)[];
}

interface LeftMark {
  readonly keys: readonly CacheKey[];
  readonly token: string;
  readonly takeAwayAtMs: number;
}

/** What Redis says of a key: its answer, leave to fill it in, or nothing. */
type Probe =
  | { readonly kind: 'hit'; readonly known: Known<unknown> }
  | { readonly kind: 'miss'; readonly epoch: OpenEpoch; readonly generation: string }
  | undefined;

/**
 * Answers of the store, kept in Redis so that every replica reads its own and all others' writes.
 *
 * A mutation (1) marks its keys in Redis and gives them a new generation, (2) writes the store, (3) installs the new
 * answers where it met no other mutation from its mark to here, and takes its mark away. Readers of a
 * marked key read the store and fill nothing; a fill carries the generation seen before the store was read and is
 * refused when it changed. So Redis holds an answer only while no mutation of its key is between (1) and (3), and
 * only one that was read or written after the last of them. From that:
 *
 * - A writer that dies between (1) and (3) leaves its mark: the key is read from the store until the mark lapses.
 * - A flush takes marks, generations and answers away together. Fills and installs from before are refused (their
 *   generation is gone). A mutation under way has lost its mark: what was filled meanwhile is forgotten at its (3).
 *   If it dies before that, nothing wrong stands either: what is read, or marked, in the first `coldMs` of an epoch
 *   is not kept, and a mutation from before it gives up its store write within `writeDeadlineMs`, which is less.
 * - A restart or a failover, which may bring back old marks and answers, begins a new epoch (redis-epoch.ts): the same
 *   as a flush.
 * - A command that Redis executes later than its caller waited for it (Redis hung) is harmless: a mark only makes
 *   its key slow until it lapses; an install or a fill is refused if anything happened to the key since, and if
 *   nothing did it is right; what happened without Redis stands in the journal until it was forgotten here.
 * - A mutation that cannot mark leaves its keys in the journal instead (dirty-journal.ts), before its store write.
 * - A mutation whose store write fails may still take effect: mark or journal entry stay for `writeDeadlineMs` more.
 * - A mutation that was late (this process was stopped) leaves a journal entry before it is acknowledged.
 *
 * A reader that cannot reach Redis, or has not listed the journal within the trust period, reads the store.
 */
export class CoherentCache {
  readonly #epoch: RedisEpoch;
  readonly #journal: DirtyJournal;
  readonly #reads: EntryReads;
  readonly #clock: Clock;
  readonly #timing: IndexTiming;
  readonly #leftMarks = new Set<LeftMark>();

  constructor(epoch: RedisEpoch, journal: DirtyJournal, clock: Clock, timing: IndexTiming) {
    this.#epoch = epoch;
    this.#reads = new EntryReads(epoch, timing);
    this.#journal = journal;
    this.#clock = clock;
    this.#timing = timing;
  }

  /** The answer of `load`, which reads the store, or the same from Redis. Throws what `load` throws. */
  async read<T>(
    key: CacheKey,
    load: (signal: AbortSignal) => Promise<T | undefined>,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    signal.throwIfAborted();
    const probe = this.#believes(key) ? await this.#probe(key) : undefined;
    // Asked again: this process may have been stopped, or have learnt of an entry, while Redis answered.
    if (probe?.kind === 'hit' && this.#believes(key)) return probe.known.value as T | undefined;
    const value = await load(signal);
    // Nobody waits for it: whatever is asked of Redis later comes after it, and one that comes too late is refused.
    if (probe?.kind === 'miss') void this.#fill(key, probe, value);
    return value;
  }

  /**
   * Runs `write`, which changes the store, so that afterwards every replica reads what it wrote. Throws what `write`
   * throws, and StorageError when it does not end within `writeDeadlineMs` or when neither Redis nor the journal
   * could be told of it; then nothing was written.
   */
  async mutate<R>(
    mutation: readonly Change[],
    write: (signal: AbortSignal) => Promise<R>,
    signal: AbortSignal,
  ): Promise<R> {
    const startedAtMs = this.#clock.monotonicMs();
    const deadline = AbortSignal.timeout(this.#timing.writeDeadlineMs);
    const both = AbortSignal.any([signal, deadline]);
    const keys = mutation.map(({ key }) => key);
    const token = randomUUID();
    const marking = await this.#mark(keys, token);
    const mark = typeof marking === 'string' ? undefined : marking;
    const entry = mark ? undefined : await this.#journal.open(keys, both);
    crashPoint('index.marked-dirty');
    let result: R;
    try {
      both.throwIfAborted();
      result = await write(both);
    } catch (error) {
      // The store may still do what it was asked.
      if (marking !== 'unsent') this.#leaveMark(keys, token, this.#timing.writeDeadlineMs);
      entry?.finish(false);
      if (!deadline.aborted || signal.aborted) throw error;
      throw new StorageError('index.mutate', 'the store did not take the write in time', error);
    }
    crashPoint('index.store-written');
    if (this.#clock.monotonicMs() - startedAtMs > this.#timing.writeDeadlineMs) {
      await this.#leaveLateEntry(keys);
    }
    const isInstalled = mark !== undefined && (await this.#install(mutation, mark));
    if (!isInstalled && marking !== 'unsent') this.#leaveMark(keys, token, 0);
    entry?.finish(true);
    crashPoint('index.installed');
    return result;
  }

  /** What is left to tidy: journal entries whose writes ended, marks that could not be taken away. */
  async settle(signal: AbortSignal): Promise<void> {
    for (const entry of this.#journal.takeDue()) {
      if (await this.#forgetEntry(entry)) await this.#journal.remove(entry, signal);
    }
    const now = this.#clock.monotonicMs();
    for (const left of this.#leftMarks) {
      if (left.takeAwayAtMs > now) continue;
      if (!(await this.#forget(left.keys, left.token))) return;
      this.#leftMarks.delete(left);
    }
  }

  /** Makes every kept answer cold for all processes: for a store that other hands have changed. False: Redis did not answer. */
  async forgetAll(): Promise<boolean> {
    const epoch = await this.#currentEpoch();
    return epoch ? await this.#epoch.end(epoch) : false;
  }

  async #leaveLateEntry(keys: readonly CacheKey[]): Promise<void> {
    const signal = AbortSignal.timeout(this.#timing.writeDeadlineMs);
    const entry = await this.#journal.open(keys, signal);
    entry.finish(true);
  }

  #believes(key: CacheKey): boolean {
    return this.#journal.trustedStoreId !== undefined && !this.#journal.isDirty(key);
  }

  async #currentEpoch(): Promise<OpenEpoch | undefined> {
    const storeId = this.#journal.trustedStoreId;
    return storeId === undefined ? undefined : await this.#epoch.current(storeId);
  }

  async #probe(key: CacheKey): Promise<Probe> {
    const epoch = await this.#currentEpoch();
    if (!epoch) return undefined;
    const answer = await this.#reads.ask(epoch, key);
    if (answer?.kind === 'miss') return { kind: 'miss', epoch, generation: answer.generation };
    const known = answer && decode(answer.text);
    return known && { kind: 'hit', known };
  }

  async #fill(
    key: CacheKey,
    { epoch, generation }: { readonly epoch: OpenEpoch; readonly generation: string },
    value: unknown,
  ): Promise<void> {
    const text = encode({ value });
    if (text === undefined) return;
    const keys = [entryKey(epoch.storeId, key)];
    const { entryTtlMs, absentTtlMs } = this.#timing;
    const args = [generation, text, isNothing(value) ? absentTtlMs : entryTtlMs];
    await this.#epoch.run(epoch, 'fill', FILL_ENTRY, keys, args);
  }

  /** `unsent`: Redis does not and will not know; `unsure`: it may, now or later. */
  async #mark(keys: readonly CacheKey[], token: string): Promise<Mark | 'unsent' | 'unsure'> {
    // A flush shows itself by the answer; the next attempt is in the epoch after it, which may be flushed as well.
    for (let attempt = 0; attempt < MARK_ATTEMPTS; attempt += 1) {
      const epoch = await this.#currentEpoch();
      if (!epoch) return 'unsent';
      const { markTtlMs, entryTtlMs, coldMs } = this.#timing;
      const entries = keys.map((key) => entryKey(epoch.storeId, key));
      const args = [token, markTtlMs, Math.max(entryTtlMs, markTtlMs), coldMs];
      const answer = await this.#epoch.run(epoch, 'mark', MARK_ENTRIES, entries, args);
      const [kind, ...before] = (answer?.value ?? []) as [kind?: string, ...before: string[]];
      if (kind === 'marked' && this.#journal.trustedStoreId === epoch.storeId) {
        const known = before.map((text) => (text === '' ? undefined : decode(text.slice(1))));
        return { epoch, token, before: known };
      }
      if (kind !== 'cold') return 'unsure';
      this.#epoch.forget(epoch);
    }
    return 'unsent';
  }

  /** False: the mark may still stand. */
  async #install(mutation: readonly Change[], mark: Mark): Promise<boolean> {
    const { epoch, token, before } = mark;
    const values = mutation.map(({ after }, position) => {
      const known = after(before[position]);
      const text = known && encode(known);
      return text === undefined ? '' : `=${text}`;
    });
    const entries = mutation.map(({ key }) => entryKey(epoch.storeId, key));
    const args = [token, this.#timing.entryTtlMs, ...values];
    const answer = await this.#epoch.run(epoch, 'install', INSTALL_ENTRIES, entries, args);
    return answer !== undefined;
  }

  #leaveMark(keys: readonly CacheKey[], token: string, delayMs: number): void {
    if (this.#leftMarks.size >= MAX_LEFT_MARKS) return;
    this.#leftMarks.add({ keys, token, takeAwayAtMs: this.#clock.monotonicMs() + delayMs });
  }

  async #forgetEntry(entry: JournalEntry): Promise<boolean> {
    if (entry.keys === 'all') return await this.forgetAll();
    return await this.#forget([...entry.keys] as CacheKey[], '');
  }

  async #forget(keys: readonly CacheKey[], token: string): Promise<boolean> {
    const epoch = await this.#currentEpoch();
    if (!epoch) return false;
    const entries = keys.map((key) => entryKey(epoch.storeId, key));
    return (await epoch.session.run('forget', FORGET_ENTRIES, entries, [token])) !== undefined;
  }
}

const isNothing = (value: unknown): boolean =>
  value === undefined || value === false || (Array.isArray(value) && value.length === 0);

/** The text kept in Redis; undefined when it is too long. No text stands for "there is nothing". */
function encode({ value }: Known<unknown>): string | undefined {
  const text = value === undefined ? '' : JSON.stringify(value);
  return text.length <= MAX_VALUE_LENGTH ? text : undefined;
}

/** Undefined when the text is none of ours. */
function decode(text: string): Known<unknown> | undefined {
  try {
    return { value: text === '' ? undefined : (JSON.parse(text) as unknown) };
  } catch {
    return undefined;
  }
}
