import { LRUCache } from 'lru-cache';

import type { SharedHints } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { RepositoryName, Tag } from '../../shared/oci/reference.ts';
import type { Failure } from './upstream/outcome.ts';

/**
 * What becomes of a tag when its upstream did not show it.
 *   serve-stale    what is held is served, with a warning
 *   drop           404, and the held tag goes; what it named stays readable by digest
 *   not-found      404 MANIFEST_UNKNOWN
 *   denied         403 DENIED: the client goes on to the upstream with a login of its own
 *   unavailable    503 with Retry-After. Never 404, which would be a lie, and never 429, at which clients wait or
 *                  hammer (wire: containerd repeats it at once, podman sleeps)
 */
export type TagDecision = 'serve-stale' | 'drop' | 'not-found' | 'denied' | 'unavailable';

/** Upstream outcome x held: the whole policy. */
const TAG_DECISIONS: Readonly<
  Record<Failure['kind'], { readonly held: TagDecision; readonly unheld: TagDecision }>
> = {
  'not-found': { held: 'drop', unheld: 'not-found' },
  denied: { held: 'serve-stale', unheld: 'denied' },
  limited: { held: 'serve-stale', unheld: 'unavailable' },
  unavailable: { held: 'serve-stale', unheld: 'unavailable' },
};

export const decideTag = (kind: Failure['kind'], isHeld: boolean): TagDecision =>
  TAG_DECISIONS[kind][isHeld ? 'held' : 'unheld'];

const MAX_TAGS = 50_000;
/** After a failure held tags are served without asking for this long. */
const FAILURE_PAUSE_MS = 10_000;

/** When each tag was last confirmed by its upstream: in this process, and as a hint for the others. */
export class TagFreshness {
  readonly #hints: SharedHints;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #freshUntilMs = new LRUCache<string, number>({ max: MAX_TAGS });
  readonly #confirmedAt = new LRUCache<string, Date>({ max: MAX_TAGS });
  readonly #pausedUntilMs = new LRUCache<string, number>({ max: MAX_TAGS });

  constructor(hints: SharedHints, clock: Clock, ttlSeconds: number) {
    this.#hints = hints;
    this.#clock = clock;
    this.#ttlMs = ttlSeconds * 1000;
  }

  async isFresh(repository: RepositoryName, tag: Tag): Promise<boolean> {
    const key = freshKey(repository, tag);
    if ((this.#freshUntilMs.get(key) ?? -Infinity) > this.#clock.monotonicMs()) return true;
    if (this.#ttlMs === 0) return false;
    // Without the hint the upstream is asked once more, that is all.
    const hint = await this.#hints.get(key).catch(() => undefined);
    if (hint === undefined) return false;
    this.#confirmedAt.set(key, new Date(hint));
    return true;
  }

  async confirm(repository: RepositoryName, tag: Tag): Promise<void> {
    const key = freshKey(repository, tag);
    this.#pausedUntilMs.delete(key);
    const now = this.#clock.now();
    this.#confirmedAt.set(key, now);
    if (this.#ttlMs === 0) return;
    this.#freshUntilMs.set(key, this.#clock.monotonicMs() + this.#ttlMs);
    await this.#hints.put(key, now.toISOString(), this.#ttlMs).catch(() => undefined);
  }

  /** When the upstream last confirmed the tag, as far as this process knows. */
  confirmedAt(repository: RepositoryName, tag: Tag): Date | undefined {
    return this.#confirmedAt.get(freshKey(repository, tag));
  }

  /** The upstream could not be asked; held content is served without asking for a while, as long as it wished at least. */
  pause(repository: RepositoryName, tag: Tag, seconds = 0): void {
    const pauseMs = Math.max(seconds * 1000, FAILURE_PAUSE_MS);
    this.#pausedUntilMs.set(freshKey(repository, tag), this.#clock.monotonicMs() + pauseMs);
  }

  isPaused(repository: RepositoryName, tag: Tag): boolean {
    const until = this.#pausedUntilMs.get(freshKey(repository, tag));
    return until !== undefined && until > this.#clock.monotonicMs();
  }
}

const freshKey = (repository: RepositoryName, tag: Tag): string => `fresh:${repository}:${tag}`;
