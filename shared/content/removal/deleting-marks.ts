import { randomUUID } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import type { Clock } from '../../lifecycle/clock.ts';
import { type Digest, parseDigest } from '../../oci/digest.ts';
import { deletingFolder, deletingMarkKey, deletingMarkPrefix } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import { PolledView, type Seen } from '../polled-view.ts';
import type { RemovalTiming } from './removal-timing.ts';

/**
 *   waiting   a run wants to remove the blob: for all others it is not there
 *   removing  the run takes its last look at the other marks and then deletes the blob
 *   keep      somebody needs the blob: no run whose last look comes after this deletes it
 */
export type MarkPhase = 'waiting' | 'removing' | 'keep';

export interface Mark {
  readonly digest: Digest;
  /** Who set it; each run and each push has marks of its own, so that nobody replaces another's. */
  readonly owner: string;
  readonly phase: MarkPhase;
}

export interface DeletingMarksOptions {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly timing: RemovalTiming;
  readonly lifetime: AbortSignal;
}

/** The time of an operation during which the marks were watched. */
interface Watch {
  readonly sinceMs: number;
}

const MARK = /^(sha256|sha512)-([0-9a-f]+)\.([0-9a-f-]{36})\.(waiting|removing|keep)$/;
/** Marked digests remembered; when there were more, nothing is known of the time before. */
const MAX_REMEMBERED = 20_000;

export const markName = ({ digest, owner, phase }: Mark): string =>
  `${deletingMarkPrefix(digest)}.${owner}.${phase}`;

/** The marks of blobs that are being removed, in the store: one small record each, all in one folder. */
export class DeletingMarks {
  readonly #options: DeletingMarksOptions;
  readonly #view: PolledView<readonly Mark[]>;
  #marked: { readonly from: readonly Mark[]; readonly digests: ReadonlySet<Digest> } | undefined;
  /** Since when the marks were listed again before a listing was too old. */
  #gaplessSinceMs = Infinity;
  #listedAtMs = -Infinity;
  readonly #seenAtMs = new LRUCache<Digest, number>({
    max: MAX_REMEMBERED,
    dispose: (_value, _digest, reason) => {
      if (reason === 'evict') this.#gaplessSinceMs = Infinity;
    },
  });
  #watchers = 0;
  #isWatching = false;

  constructor(options: DeletingMarksOptions) {
    this.#options = options;
    const { clock, timing, lifetime } = options;
    this.#view = new PolledView({
      load: (signal) => this.#load(signal),
      clock,
      maxAgeMs: timing.viewMs,
      lifetime,
    });
  }

  /** Whether a run removes the blob, as of `viewMs` ago at most. Throws StorageError. */
  async isMarked(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#digestsOf(await this.#view.get(signal)).has(digest);
  }

  /** As isMarked, by what is known without asking; for messages alone. */
  isKnownMarked(digest: Digest): boolean {
    const { last } = this.#view;
    return last !== undefined && this.#digestsOf(last).has(digest);
  }

  /** All marks as they are now. */
  async listNow(signal: AbortSignal): Promise<Mark[]> {
    const children = await this.#options.records.list(deletingFolder, {}, signal);
    return children.flatMap(({ name }) => parseMark(name) ?? []);
  }

  async put(mark: Mark, signal: AbortSignal): Promise<void> {
    const at = this.#options.clock.now().toISOString();
    const record = { schemaVersion: 1, ...mark, at };
    const key = deletingMarkKey(markName(mark));
    await this.#options.records.put(key, Buffer.from(JSON.stringify(record)), signal);
  }

  async delete(mark: Mark, signal: AbortSignal): Promise<void> {
    await this.#options.records.delete(deletingMarkKey(markName(mark)), signal);
  }

  /** Sets a mark that keeps the blob; it stands until it counts as abandoned. */
  async keep(digest: Digest, signal: AbortSignal): Promise<void> {
    await this.put({ digest, owner: randomUUID(), phase: 'keep' }, signal);
  }

  /**
   * Runs an operation that may make the blob visible, or find it so, at any moment until it ends. `isClean`: at its end
   * the blob was not marked, nor at any time since it began as far as marks live longer than `viewMs`.
   */
  async whileWatched<Result>(
    digest: Digest,
    signal: AbortSignal,
    work: () => Promise<Result>,
  ): Promise<{ readonly result: Result; readonly isClean: boolean }> {
    // A failure here only means that the link that follows looks again.
    await this.#view.get(signal).catch(() => undefined);
    const watch: Watch = { sinceMs: this.#options.clock.monotonicMs() };
    this.#watchers += 1;
    if (!this.#isWatching) void this.#watch();
    try {
      const result = await work();
      return { result, isClean: await this.#wasClean(digest, watch, signal) };
    } finally {
      this.#watchers -= 1;
    }
  }

  async #wasClean(digest: Digest, { sinceMs }: Watch, signal: AbortSignal): Promise<boolean> {
    try {
      if (await this.isMarked(digest, signal)) return false;
    } catch {
      return false;
    }
    if (this.#gaplessSinceMs > sinceMs) return false;
    const seenAtMs = this.#seenAtMs.get(digest);
    return seenAtMs === undefined || seenAtMs < sinceMs - this.#options.timing.viewMs;
  }

  /** Keeps the view young for those who do not ask for it while they work. */
  async #watch(): Promise<void> {
    const { clock, timing, lifetime } = this.#options;
    this.#isWatching = true;
    try {
      while (this.#watchers > 0) {
        await clock.sleep(timing.viewMs / 2, lifetime);
        if (this.#watchers > 0) await this.#view.get(lifetime).catch(() => undefined);
      }
    } catch {
      // The process ends.
    } finally {
      this.#isWatching = false;
    }
  }

  async #load(signal: AbortSignal): Promise<readonly Mark[]> {
    const { clock, timing } = this.#options;
    const startedMs = clock.monotonicMs();
    const marks = await this.listNow(signal);
    const isGap = startedMs - this.#listedAtMs > timing.viewMs;
    if (isGap || this.#gaplessSinceMs === Infinity) this.#gaplessSinceMs = startedMs;
    this.#listedAtMs = startedMs;
    const endedMs = clock.monotonicMs();
    for (const { digest } of marks) this.#seenAtMs.set(digest, endedMs);
    return marks;
  }

  #digestsOf({ value }: Seen<readonly Mark[]>): ReadonlySet<Digest> {
    if (this.#marked?.from !== value) {
      const removed = value.filter(({ phase }) => phase !== 'keep');
      this.#marked = { from: value, digests: new Set(removed.map(({ digest }) => digest)) };
    }
    return this.#marked.digests;
  }
}

function parseMark(name: string): Mark | undefined {
  const [, algorithm, hex, owner, phase] = MARK.exec(name) ?? [];
  const digest = parseDigest(`${algorithm ?? ''}:${hex ?? ''}`);
  if (!digest || owner === undefined) return undefined;
  return { digest, owner, phase: phase as MarkPhase };
}
