import { LRUCache } from 'lru-cache';

import type { MembershipIndex } from '../../index/ports.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { Digest } from '../../oci/digest.ts';
import { registryError } from '../../oci/errors.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { DeletingMarks, Mark } from './deleting-marks.ts';
import type { RemovalTiming } from './removal-timing.ts';

/** Blobs of which it is remembered when they were last found; what is forgotten is looked for again. */
const MAX_FOUND = 50_000;
const POLL_MS = 200;

export interface RemovalGuardOptions {
  /** Without the guard. */
  readonly blobs: BlobStore;
  readonly members: MembershipIndex;
  readonly marks: DeletingMarks;
  readonly clock: Clock;
  readonly timing: RemovalTiming;
}

/**
 * The side of those who use blobs in the protocol by which blobs are removed (docs/architecture.md, "Removing bytes").
 * A blob that a run is removing is not there for whoever asks; and no link is written to a blob that may be gone.
 */
export class RemovalGuard {
  readonly #options: RemovalGuardOptions;
  /** When a blob was surely there and, as far as `viewMs` tells, not marked. */
  readonly #foundAtMs = new LRUCache<Digest, number>({ max: MAX_FOUND });

  constructor(options: RemovalGuardOptions) {
    this.#options = options;
  }

  /** As the store, but what is being removed is not found. Reading is as before: bytes that are there may be read. */
  get blobs(): BlobStore {
    const { blobs } = this.#options;
    return {
      stat: async (digest, signal) => {
        const isMarked = await this.#isMarked(digest, signal);
        if (isMarked === true) return undefined;
        const atMs = this.#options.clock.monotonicMs();
        const found = await blobs.stat(digest, signal);
        if (found && isMarked === false) this.#foundAtMs.set(digest, atMs);
        return found;
      },
      open: (digest, range, signal) => blobs.open(digest, range, signal),
      read: (digest, maxBytes, signal) => blobs.read(digest, maxBytes, signal),
      put: (digest, body, size, signal) =>
        this.whilePublished(digest, signal, () => blobs.put(digest, body, size, signal)),
      delete: (digest, signal) => blobs.delete(digest, signal),
    };
  }

  /** Membership whose links are only written to blobs that stay. `add` throws UNAVAILABLE when the blob has gone. */
  get members(): MembershipIndex {
    const { members, clock, timing } = this.#options;
    return {
      has: (repository, kind, digest, signal) => members.has(repository, kind, digest, signal),
      remove: (repository, kind, digest, signal) =>
        members.remove(repository, kind, digest, signal),
      add: async (repository, kind, digest, signal) => {
        for (;;) {
          const sinceMs = this.#recentlyFound(digest) ?? (await this.#secure(digest, signal));
          await members.add(repository, kind, digest, signal);
          if (clock.monotonicMs() - sinceMs <= timing.relianceMs) return;
        }
      },
    };
  }

  /** Runs what makes the blob visible at some moment. */
  async whilePublished<Result>(
    digest: Digest,
    signal: AbortSignal,
    publish: () => Promise<Result>,
  ): Promise<Result> {
    const { marks, clock } = this.#options;
    this.#foundAtMs.delete(digest);
    const { result, isClean } = await marks.whileWatched(digest, signal, publish);
    if (isClean) this.#foundAtMs.set(digest, clock.monotonicMs());
    return result;
  }

  /** Undefined when the store cannot tell. */
  async #isMarked(digest: Digest, signal: AbortSignal): Promise<boolean | undefined> {
    try {
      return await this.#options.marks.isMarked(digest, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return undefined;
    }
  }

  /** Half of the time is left for the link. */
  #recentlyFound(digest: Digest): number | undefined {
    const { clock, timing } = this.#options;
    const atMs = this.#foundAtMs.get(digest);
    if (atMs === undefined) return undefined;
    return clock.monotonicMs() - atMs <= timing.relianceMs / 2 ? atMs : undefined;
  }

  /**
   * Makes sure that the blob is there and stays for as long as a link takes. A run that is about to remove it sees the
   * mark that is set here before its last look, or is so far that its end is waited for. Returns since when it holds.
   */
  async #secure(digest: Digest, signal: AbortSignal): Promise<number> {
    const { marks, clock, timing, blobs } = this.#options;
    let atMs = clock.monotonicMs();
    let own = await this.#marksOf(digest, signal);
    if (own.some(({ phase }) => phase !== 'keep')) {
      await marks.keep(digest, signal);
      const untilMs = atMs + timing.settleMs;
      for (;;) {
        atMs = clock.monotonicMs();
        own = await this.#marksOf(digest, signal);
        if (!own.some(({ phase }) => phase === 'removing')) break;
        if (atMs > untilMs) throw beingRemoved(digest);
        await clock.sleep(POLL_MS, signal);
      }
    }
    if (!(await blobs.stat(digest, signal))) throw beingRemoved(digest);
    return atMs;
  }

  async #marksOf(digest: Digest, signal: AbortSignal): Promise<Mark[]> {
    return (await this.#options.marks.listNow(signal)).filter((mark) => mark.digest === digest);
  }
}

function beingRemoved(digest: Digest): Error {
  return registryError('UNAVAILABLE', {
    message: 'this blob was being removed at the same time, push it again',
    detail: { digest },
    headers: { 'Retry-After': '1' },
  });
}
