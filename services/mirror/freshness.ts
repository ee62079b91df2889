import { LRUCache } from 'lru-cache';

import type { SharedHints } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Tag } from '../../shared/oci/reference.ts';
import type { BackgroundTasks } from './background-tasks.ts';
import type { CachedRepository } from './cached-repository.ts';
import type { ConfirmationRecords } from './confirmation-records.ts';
import type { Failure } from './upstream/outcome.ts';

const MAX_TAGS = 50_000;
/** After a failure a held tag is served without asking for this long. */
const FAILURE_PAUSE_MS = 10_000;
/** How much older than its TTL a tag may be that is served while it is confirmed: as much again, but no more than this. */
const MAX_GRACE_MS = 5 * 60_000;
const HINT_LIFE_MS = 24 * 60 * 60_000;
/** Clocks of two machines differ by less. */
const SKEW_MS = 5_000;
/** The store is told this often when a tag was last confirmed; with a limit on stale tags, eight times within it. */
const RECORD_EVERY_MS = 24 * 60 * 60_000;
const RECORDS_PER_LIMIT = 8;

/** How long tags of an upstream are good for, in milliseconds. */
export interface TagTerms {
  readonly ttlMs: number;
  /** How old a tag may be that is served although it could not be confirmed; undefined: as old as it is. */
  readonly maxStaleMs: number | undefined;
}

/** `stretch`: how much longer tags are to live because the upstream's budget runs low. */
export function tagTerms(
  {
    tagTtlSeconds,
    maxStaleSeconds,
  }: Pick<CachedRepository['upstream'], 'tagTtlSeconds' | 'maxStaleSeconds'>,
  stretch: number,
): TagTerms {
  const ttlMs = tagTtlSeconds * 1000 * stretch;
  if (maxStaleSeconds === undefined) return { ttlMs, maxStaleMs: undefined };
  const maxStaleMs = Math.max(maxStaleSeconds, tagTtlSeconds) * 1000;
  return { ttlMs: Math.min(ttlMs, maxStaleMs), maxStaleMs };
}

/**
 *   fresh   confirmed within its TTL
 *   behind  a little older, and asked for within its TTL before: served, and confirmed in the background
 *   due     to be confirmed before it is served
 */
export type TagState = 'fresh' | 'behind' | 'due';

/** What this process knows of a tag. Times without `Wall` are monotonic. */
interface Knowledge {
  confirmedMs?: number;
  /** When the store was last told; -Infinity: looked for there, and not found. */
  recordedWallMs?: number;
  askedMs?: number;
  paused?: { readonly untilMs: number; readonly failure: Failure };
}

export interface TagFreshnessOptions {
  readonly hints: SharedHints;
  readonly confirmations: ConfirmationRecords;
  readonly background: BackgroundTasks;
  readonly clock: Clock;
  readonly terms: (upstream: CachedRepository['upstream']) => TagTerms;
  readonly lifetime: AbortSignal;
}

/**
 * When each tag was last confirmed by its upstream: known in this process, told to the others by a hint, and now and
 * then to the store, so that a limit on stale tags holds over a restart and a Redis that lost everything.
 */
export class TagFreshness {
  readonly #options: TagFreshnessOptions;
  readonly #known = new LRUCache<string, Knowledge>({ max: MAX_TAGS });

  constructor(options: TagFreshnessOptions) {
    this.#options = options;
  }

  /** To be called once for each pull of a held tag: tags that are asked for often are confirmed behind the pulls. */
  async state(repository: CachedRepository, tag: Tag): Promise<TagState> {
    const { clock, terms } = this.#options;
    const { ttlMs, maxStaleMs = Infinity } = terms(repository.upstream);
    const known = this.#of(repository, tag);
    const nowMs = clock.monotonicMs();
    const isHot = known.askedMs !== undefined && nowMs - known.askedMs < ttlMs;
    known.askedMs = nowMs;
    if (ttlMs === 0) return 'due';
    if (this.#ageMs(known) < ttlMs) return 'fresh';
    await this.#readHint(repository, tag, known);
    const ageMs = this.#ageMs(known);
    if (ageMs < ttlMs) return 'fresh';
    const behindMs = Math.min(ttlMs + Math.min(ttlMs, MAX_GRACE_MS), maxStaleMs);
    return isHot && ageMs < behindMs ? 'behind' : 'due';
  }

  /** Confirmed within its TTL, also by another process. */
  async isFresh(repository: CachedRepository, tag: Tag): Promise<boolean> {
    const { ttlMs } = this.#options.terms(repository.upstream);
    const known = this.#of(repository, tag);
    if (this.#ageMs(known) >= ttlMs) await this.#readHint(repository, tag, known);
    return this.#ageMs(known) < ttlMs;
  }

  /** Since the tag was last confirmed, as far as this process knows. */
  knownAgeMs(repository: CachedRepository, tag: Tag): number | undefined {
    const ageMs = this.#ageMs(this.#of(repository, tag));
    return Number.isFinite(ageMs) ? ageMs : undefined;
  }

  /** Since the tag was last confirmed, by all that is known: in the store perhaps an eighth of the limit too much. */
  async ageMs(repository: CachedRepository, tag: Tag): Promise<number | undefined> {
    const { confirmations, clock, lifetime } = this.#options;
    const known = this.#of(repository, tag);
    await this.#readHint(repository, tag, known);
    if (known.confirmedMs === undefined && known.recordedWallMs === undefined) {
      const wallMs = await confirmations
        .get(repository.cached, tag, lifetime)
        .catch(() => undefined);
      known.recordedWallMs = wallMs ?? -Infinity;
      if (wallMs !== undefined) this.#learn(known, clock.now().getTime() - wallMs);
    }
    return this.knownAgeMs(repository, tag);
  }

  /**
   * The upstream has just shown what the store holds, or will hold: others are told once it does. False when the store
   * did not take it: then nothing was confirmed, else the old image would count as it.
   */
  async confirm(
    repository: CachedRepository,
    tag: Tag,
    stored: Promise<boolean> = Promise.resolve(true),
  ): Promise<boolean> {
    const { hints, clock, background, confirmations, lifetime } = this.#options;
    const known = this.#of(repository, tag);
    const before = known.confirmedMs;
    const nowMs = clock.monotonicMs();
    known.confirmedMs = nowMs;
    delete known.paused;
    const wallMs = clock.now().getTime();
    if (!(await stored)) {
      if (known.confirmedMs !== nowMs) return false;
      if (before === undefined) delete known.confirmedMs;
      else known.confirmedMs = before;
      return false;
    }
    if (this.#isRecordDue(repository, known, wallMs)) {
      known.recordedWallMs = wallMs;
      background.run('tag.confirmed', () =>
        confirmations.put(repository.cached, tag, wallMs, lifetime),
      );
    }
    const hint = `${wallMs},${known.recordedWallMs ?? 0}`;
    await hints.put(keyOf(repository, tag), hint, HINT_LIFE_MS).catch(() => undefined);
    return true;
  }

  /** The tag is gone. */
  async forget(repository: CachedRepository, tag: Tag): Promise<void> {
    this.#known.delete(keyOf(repository, tag));
    await this.#options.hints.put(keyOf(repository, tag), '', 1).catch(() => undefined);
    await this.#options.confirmations.delete(repository.cached, tag, this.#options.lifetime);
  }

  /** It could not be confirmed: what is held is served without asking for a while, as long as the upstream wished at least. */
  pause(repository: CachedRepository, tag: Tag, failure: Failure): void {
    const seconds = failure.kind === 'limited' ? failure.retryAfterSeconds : 0;
    const pauseMs = Math.max(seconds * 1000, FAILURE_PAUSE_MS);
    const untilMs = this.#options.clock.monotonicMs() + pauseMs;
    this.#of(repository, tag).paused = { untilMs, failure };
  }

  /** Why the tag need not be asked for again yet. */
  pausedBy(repository: CachedRepository, tag: Tag): Failure | undefined {
    const { paused } = this.#of(repository, tag);
    const isPaused = paused !== undefined && paused.untilMs > this.#options.clock.monotonicMs();
    return isPaused ? paused.failure : undefined;
  }

  #of(repository: CachedRepository, tag: Tag): Knowledge {
    const key = keyOf(repository, tag);
    let known = this.#known.get(key);
    if (!known) {
      known = {};
      this.#known.set(key, known);
    }
    return known;
  }

  #ageMs({ confirmedMs }: Knowledge): number {
    return confirmedMs === undefined ? Infinity : this.#options.clock.monotonicMs() - confirmedMs;
  }

  /** What another process confirmed later. Without the hint the upstream is asked once more, that is all. */
  async #readHint(repository: CachedRepository, tag: Tag, known: Knowledge): Promise<void> {
    const { hints, clock } = this.#options;
    const hint = await hints.get(keyOf(repository, tag)).catch(() => undefined);
    const [, confirmed, recorded] = /^(\d{1,16}),(\d{1,16})$/.exec(hint ?? '') ?? [];
    if (confirmed === undefined) return;
    this.#learn(known, clock.now().getTime() - Number(confirmed));
    known.recordedWallMs = Math.max(known.recordedWallMs ?? 0, Number(recorded));
  }

  /** A time that is still to come is a clock that was set back, and tells nothing. */
  #learn(known: Knowledge, ageMs: number): void {
    if (ageMs < -SKEW_MS || ageMs >= this.#ageMs(known)) return;
    known.confirmedMs = this.#options.clock.monotonicMs() - Math.max(ageMs, 0);
  }

  #isRecordDue(repository: CachedRepository, known: Knowledge, wallMs: number): boolean {
    const { maxStaleMs = Infinity } = this.#options.terms(repository.upstream);
    const everyMs = Math.min(maxStaleMs / RECORDS_PER_LIMIT, RECORD_EVERY_MS);
    return Math.abs(wallMs - (known.recordedWallMs ?? -Infinity)) >= everyMs;
  }
}

const keyOf = ({ cached }: CachedRepository, tag: Tag): string => `fresh:${cached}:${tag}`;
