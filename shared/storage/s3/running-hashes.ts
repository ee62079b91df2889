import type { Hash } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import type { DigestAlgorithm } from '../../oci/digest.ts';
import type { UploadId } from '../../oci/reference.ts';

const MAX_SESSIONS = 2_000;
const TTL_MS = 3_600_000;

/** A hash of the first `offset` bytes of a session. */
export interface RunningHash {
  readonly algorithm: DigestAlgorithm;
  readonly offset: number;
  readonly hash: Hash;
}

/**
 * The hashes of sessions whose chunks all came through this process. They cannot be stored, so they only save reading
 * the staged bytes again; a session that goes on elsewhere does without.
 */
export class RunningHashes {
  readonly #hashes = new LRUCache<UploadId, RunningHash>({ max: MAX_SESSIONS, ttl: TTL_MS });

  /** Hands the hash over: whoever takes it puts it back or lets it go. */
  take(id: UploadId): RunningHash | undefined {
    const found = this.#hashes.get(id);
    this.#hashes.delete(id);
    return found;
  }

  put(id: UploadId, running: RunningHash): void {
    this.#hashes.set(id, running);
  }

  drop(id: UploadId): void {
    this.#hashes.delete(id);
  }
}
