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
/** Blobs of which it is remembered that a mark of this process keeps them; another mark is set for what is forgotten. */
const MAX_KEPT = 10_000;
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
 * A blob that a run wants to remove is kept by whoever asks for it, or it is not there for them; and no link is written
 * to a blob that may be gone.
 */
export class RemovalGuard {
  readonly #options: RemovalGuardOptions;
  /** When a blob was surely there and kept, or as far as `viewMs` tells not marked. */
  readonly #foundAtMs = new LRUCache<Digest, number>({ max: MAX_FOUND });
  /** Since when a mark of this process keeps a blob that no run was about to delete then. */
  readonly #keptSinceMs = new LRUCache<Digest, number>({ max: MAX_KEPT });

  constructor(options: RemovalGuardOptions) {
    this.#options = options;
  }

  /**
   * As the store, but what is found stays for as long as a link takes: a run that waits to remove it will not, and what
   * a run is about to delete is not found. Reading is as before: bytes that are there may be read.
   */
  get blobs(): BlobStore {
    const { blobs } = this.#options;
    return {
      stat: async (digest, signal) => {
        const marking = this.#isMarked(digest, signal);
        marking.catch(() => undefined);
        let atMs = this.#options.clock.monotonicMs();
        let found = await blobs.stat(digest, signal);
        // What is not there need not wait for the marks.
        if (!found) return undefined;
        const isMarked = await marking;
        if (isMarked === true) {
          if (!(await this.#keptNow(digest, signal))) return undefined;
          // It may have gone before it was kept.
          atMs = this.#options.clock.monotonicMs();
          found = await blobs.stat(digest, signal);
        }
        if (found && isMarked !== undefined) this.#foundAtMs.set(digest, atMs);
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
        const sinceMs = this.#recentlyFound(digest) ?? (await this.#secure(digest, signal));
        await members.add(repository, kind, digest, signal);
        // A link that was so long on its way may have come after the last look of a run at the links. From now on every
        // run sees it; where the bytes have gone it stays, since another push may rely on it already, and shows nothing.
        const isLate = clock.monotonicMs() - sinceMs > timing.relianceMs;
        if (isLate) await this.#secure(digest, signal);
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
    const untilMs = atMs + timing.settleMs;
    if ((await this.#marksOf(digest, signal)).some(({ phase }) => phase !== 'keep')) {
      await marks.keep(digest, signal);
      for (;;) {
        atMs = clock.monotonicMs();
        if (!(await this.#isInLastStep(digest, signal))) break;
        if (atMs > untilMs) throw beingRemoved(digest);
        await clock.sleep(POLL_MS, signal);
      }
    }
    if (!(await blobs.stat(digest, signal))) throw beingRemoved(digest);
    return atMs;
  }

  /**
   * Keeps a blob that a run wants to remove. False when a run is so far that it may delete it, or nothing can be written.
   * One mark serves for half of the time that it stands at least: every run whose last look comes in that time sees it.
   */
  async #keptNow(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { marks, clock, timing } = this.#options;
    const sinceMs = this.#keptSinceMs.get(digest);
    if (sinceMs !== undefined && clock.monotonicMs() - sinceMs < timing.abandonedMs / 2)
      return true;
    try {
      if (await this.#isInLastStep(digest, signal)) return false;
      const atMs = clock.monotonicMs();
      await marks.keep(digest, signal);
      if (await this.#isInLastStep(digest, signal)) return false;
      this.#keptSinceMs.set(digest, atMs);
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      return false;
    }
  }

  async #isInLastStep(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return (await this.#marksOf(digest, signal)).some(({ phase }) => phase === 'removing');
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
