import type { Readable } from 'node:stream';

import type { Digest, DigestAlgorithm } from '../oci/digest.ts';
import type { RepositoryName, UploadId } from '../oci/reference.ts';
import type { BlobStat } from './blob-store.ts';

/** Where an upload session stands. A value: the truth is in the store, so any replica can go on with it (I8). */
export interface UploadSession {
  readonly id: UploadId;
  readonly repository: RepositoryName;
  readonly startedAt: Date;
  /** Bytes received and kept so far. */
  readonly offset: number;
}

/**
 * Staged bytes of an upload session under `_uploads/<uuid>/` until they become a blob by one atomic act after
 * verification. Callers serialise the calls for one session (a lease); two that race all the same may lose one
 * another's bytes but never make a blob with a wrong digest, because `commit` verifies what it publishes.
 */
export interface UploadStore {
  /**
   * Writes `startedat` (RFC 3339) and the owner record. `algorithm`: the digest announced by the client, if any. `id`: one
   * that no session has; without it a random one.
   */
  create(
    repository: RepositoryName,
    algorithm: DigestAlgorithm | undefined,
    signal: AbortSignal,
    id?: UploadId,
  ): Promise<UploadSession>;
  /** Undefined when the session is unknown in this repository, finished or cancelled. */
  find(
    repository: RepositoryName,
    id: UploadId,
    signal: AbortSignal,
  ): Promise<UploadSession | undefined>;
  /**
   * Appends the body at `offset`. Throws UploadOffsetError, before reading the body, when the session does not stand
   * there. When the body breaks off, what came before stays in the session as far as the store could keep it, the
   * error is thrown, and a later `find` tells the true offset. Bounded memory.
   */
  append(
    session: UploadSession,
    offset: number,
    body: Readable,
    signal: AbortSignal,
  ): Promise<UploadSession>;
  /**
   * Verifies that the staged bytes have the digest and publishes them as that blob. Idempotent by digest: committing
   * again after success, also from another replica, is harmless. Throws DigestMismatchError; the session is then
   * gone and nothing is visible. The session's records disappear after success, at the latest by the reaper.
   */
  commit(session: UploadSession, digest: Digest, signal: AbortSignal): Promise<BlobStat>;
  /** Drops session and staged bytes. Idempotent. */
  cancel(session: UploadSession, signal: AbortSignal): Promise<void>;
}

/** Removes what abandoned sessions left (I7). */
export interface UploadReaper {
  /** Cancels every session of the repository begun before `before`, multipart uploads included; returns how many. */
  reap(repository: RepositoryName, before: Date, signal: AbortSignal): Promise<number>;
}
