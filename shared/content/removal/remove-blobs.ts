import { randomUUID } from 'node:crypto';

import type { Clock } from '../../lifecycle/clock.ts';
import { crashPoint } from '../../lifecycle/crash-point.ts';
import type { Digest } from '../../oci/digest.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { mapBounded } from '../../index/store/map-bounded.ts';
import type { DeletingMarks, MarkPhase } from './deleting-marks.ts';
import { type RemovalTiming, removalWaitMs } from './removal-timing.ts';
import { storedReferences, type StoredReferencesOptions } from './stored-references.ts';

/** Blobs that take the last step together: one look at the marks serves all of them. */
const FINAL_BATCH = 100;

export interface RemoveBlobsOptions extends StoredReferencesOptions {
  readonly blobs: BlobStore;
  readonly marks: DeletingMarks;
  readonly clock: Clock;
  readonly timing: RemovalTiming;
  /** How long clients may use an address of the store that they were sent to; 0: they are not sent there. */
  readonly redirectSeconds: number;
}

export interface RemovedBlobs {
  readonly removed: readonly Digest[];
  /** Their bytes. */
  readonly bytes: number;
  /**
   * Without a link when it was last looked, and perhaps still there: somebody keeps them, or the delete failed and may
   * yet come through (MinIO deletes nothing that somebody reads). A later run is to look again.
   */
  readonly unsure: readonly Digest[];
}

/**
 * Removes those of the blobs that no repository links, while everything else goes on (docs/architecture.md, "Removing
 * bytes"): mark, wait until nobody can rely on the blob any more without having linked it, look at every link in the
 * store, announce the last step, look whether anybody wants to keep it, delete. Throws when anything cannot be read;
 * what was not deleted by then stays. Several runs at once do each other no harm, and one that dies leaves marks alone.
 */
export async function removeBlobs(
  candidates: readonly Digest[],
  options: RemoveBlobsOptions,
  signal: AbortSignal,
): Promise<RemovedBlobs> {
  return await new Removal(options, signal).run(candidates);
}

class Removal {
  readonly #owner = randomUUID();
  readonly #options: RemoveBlobsOptions;
  readonly #signal: AbortSignal;
  readonly #marked = new Set<Digest>();
  /** Their deletes may still come through: their marks stay, until they count as abandoned. */
  readonly #unsure = new Set<Digest>();
  readonly #kept = new Set<Digest>();

  constructor(options: RemoveBlobsOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  async run(candidates: readonly Digest[]): Promise<RemovedBlobs> {
    const { clock, timing, redirectSeconds } = this.#options;
    const unlinked = await this.#unlinked(candidates);
    if (unlinked.length === 0) return { removed: [], bytes: 0, unsure: [] };
    try {
      await this.#mark(unlinked, 'waiting');
      crashPoint('removal.marked');
      const waitMs = Math.max(removalWaitMs(timing), redirectSeconds * 1000);
      await clock.sleep(waitMs, this.#signal);
      const stillUnlinked = await this.#unlinked(unlinked);
      const removed: Digest[] = [];
      let bytes = 0;
      for (let from = 0; from < stillUnlinked.length; from += FINAL_BATCH) {
        const batch = stillUnlinked.slice(from, from + FINAL_BATCH);
        for (const { digest, size } of await this.#removeBatch(batch)) {
          removed.push(digest);
          bytes += size;
        }
        // Nobody waits longer than for its own blob.
        await this.#unmark(batch);
      }
      return { removed, bytes, unsure: [...this.#unsure, ...this.#kept] };
    } finally {
      await this.#unmark(this.#marked);
    }
  }

  async #unlinked(digests: readonly Digest[]): Promise<Digest[]> {
    const referenced = await storedReferences(new Set(digests), this.#options, this.#signal);
    return digests.filter((digest) => !referenced.has(digest));
  }

  async #removeBatch(digests: readonly Digest[]): Promise<{ digest: Digest; size: number }[]> {
    const { marks, blobs, clock, timing } = this.#options;
    await this.#mark(digests, 'removing');
    crashPoint('removal.final');
    const lookedAtMs = clock.monotonicMs();
    const all = await marks.listNow(this.#signal);
    const kept = new Set(all.filter(({ phase }) => phase === 'keep').map(({ digest }) => digest));
    const own = all.filter(({ owner }) => owner === this.#owner);
    // Without its marks this run counts as dead, and nobody heeds it.
    const isOwn = (digest: Digest): boolean =>
      (['waiting', 'removing'] as const).every((phase) =>
        own.some((mark) => mark.digest === digest && mark.phase === phase),
      );
    const free = digests.filter((digest) => !kept.has(digest) && isOwn(digest));
    for (const digest of digests) if (!free.includes(digest)) this.#kept.add(digest);
    const faults: unknown[] = [];
    const removed = await mapBounded(free, async (digest) => {
      try {
        const stat = await blobs.stat(digest, this.#signal);
        // Whoever was stopped for long must not delete what others have meanwhile been told they may use.
        const isLate = clock.monotonicMs() - lookedAtMs > timing.finalMs;
        if (stat && isLate) this.#kept.add(digest);
        if (!stat || isLate) return undefined;
        this.#unsure.add(digest);
        await blobs.delete(digest, this.#signal);
        this.#unsure.delete(digest);
        crashPoint('removal.deleted');
        return { digest, size: stat.size };
      } catch (error) {
        faults.push(error);
        return undefined;
      }
    });
    const gone = removed.filter((blob) => blob !== undefined);
    // One blob that cannot be deleted keeps nobody from the others; a store that deletes nothing ends the run.
    if (faults.length > 0 && gone.length === 0) throw faults[0] as Error;
    return gone;
  }

  async #mark(digests: readonly Digest[], phase: MarkPhase): Promise<void> {
    for (const digest of digests) this.#marked.add(digest);
    await mapBounded(digests, (digest) =>
      this.#options.marks.put({ digest, owner: this.#owner, phase }, this.#signal),
    );
  }

  /** Also when the run was given up; what stays then is dropped as abandoned. */
  async #unmark(digests: Iterable<Digest>): Promise<void> {
    const { marks, timing } = this.#options;
    const signal = AbortSignal.timeout(timing.finalMs);
    const settled = [...digests].filter((digest) => !this.#unsure.has(digest));
    for (const phase of ['removing', 'waiting'] as const) {
      await mapBounded(settled, (digest) =>
        marks.delete({ digest, owner: this.#owner, phase }, signal).catch(() => undefined),
      );
    }
    for (const digest of settled) this.#marked.delete(digest);
  }
}
