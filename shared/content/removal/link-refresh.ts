import { LRUCache } from 'lru-cache';

import type { MemberKind, MembershipIndex } from '../../index/ports.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import { StorageError } from '../../storage/errors.ts';
import { layerLinkKey, revisionLinkKey } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';

/** For so long after its last date a link is never taken for a rest that nobody needs. */
export const LINK_GRACE_MS = 24 * 60 * 60 * 1000;
/** Links that are remembered to be young. */
const MAX_YOUNG = 50_000;

export interface LinkRefreshOptions {
  readonly records: RecordStore;
  readonly members: MembershipIndex;
  readonly clock: Clock;
}

/**
 * Keeps young what clients were told is there: between that answer and the manifest that needs the blob, its link must
 * not look like the rest of a push that was given up. A link older than half of LINK_GRACE_MS is written again.
 */
export class LinkRefresh {
  readonly #options: LinkRefreshOptions;
  /** Until when a link is young, by the monotonic clock. */
  readonly #youngUntilMs = new LRUCache<string, number>({ max: MAX_YOUNG });

  constructor(options: LinkRefreshOptions) {
    this.#options = options;
  }

  /** The membership, whose new links are known to be young. */
  get members(): MembershipIndex {
    const { members } = this.#options;
    return {
      has: (repository, kind, digest, signal) => members.has(repository, kind, digest, signal),
      add: async (repository, kind, digest, signal) => {
        await members.add(repository, kind, digest, signal);
        this.#noteAge(keyOf(repository, kind, digest), 0);
      },
      remove: async (repository, kind, digest, signal) => {
        this.#youngUntilMs.delete(keyOf(repository, kind, digest));
        return await members.remove(repository, kind, digest, signal);
      },
    };
  }

  /** Before a client is told that the repository has it. A store that cannot be written keeps nobody from reading. */
  async refresh(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    const { records, clock, members } = this.#options;
    const key = keyOf(repository, kind, digest);
    if ((this.#youngUntilMs.get(key) ?? -Infinity) > clock.monotonicMs()) return;
    try {
      const writtenAt = await records.modifiedAt(key, signal);
      if (!writtenAt) return;
      const ageMs = clock.now().getTime() - writtenAt.getTime();
      if (ageMs > LINK_GRACE_MS / 2) await members.add(repository, kind, digest, signal);
      this.#noteAge(key, ageMs > LINK_GRACE_MS / 2 ? 0 : ageMs);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
    }
  }

  #noteAge(key: string, ageMs: number): void {
    const untilMs = this.#options.clock.monotonicMs() + LINK_GRACE_MS / 2 - Math.max(ageMs, 0);
    this.#youngUntilMs.set(key, untilMs);
  }
}

const keyOf = (repository: RepositoryName, kind: MemberKind, digest: Digest): string =>
  kind === 'blob' ? layerLinkKey(repository, digest) : revisionLinkKey(repository, digest);
