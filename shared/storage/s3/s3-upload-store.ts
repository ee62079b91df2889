import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';

import type { S3Client } from '@aws-sdk/client-s3';

import type { S3StorageConfig } from '../../config/config.ts';
import type { Digest, DigestAlgorithm } from '../../oci/digest.ts';
import type { RepositoryName, UploadId } from '../../oci/reference.ts';
import type { BlobStat } from '../blob-store.ts';
import { DigestMismatchError, UploadOffsetError, UploadUnknownError } from '../errors.ts';
import { uploadStartedAtKey } from '../object-keys.ts';
import type { UploadReaper, UploadSession, UploadStore } from '../upload-store.ts';
import { appendToUpload } from './append-to-upload.ts';
import { publishUpload } from './publish-upload.ts';
import { sha256Of } from './payload-hash.ts';
import { RunningHashes } from './running-hashes.ts';
import { S3BlobStore } from './s3-blob-store.ts';
import { S3Bucket } from './s3-bucket.ts';
import { cleanupSignal, type S3Deadlines } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';
import { discardUpload, finishUpload } from './end-upload.ts';
import { S3UploadReaper } from './s3-upload-reaper.ts';
import {
  emptyUpload,
  loadUpload,
  type OpenUpload,
  saveUpload,
  type UploadCall,
} from './upload-state.ts';

/** How often a commit looks again when another replica took the staged bytes away under it. */
const COMMIT_ATTEMPTS = 2;

/**
 * Upload sessions in a bucket. What exists under `_uploads/<uuid>/`, and when:
 *
 *   startedat      from `create` until the session ends: it is the session
 *   state.json     from the first byte on: which parts and which tail make up the bytes so far; each replacement of it
 *                  acknowledges a chunk. After success it only names the digest, until the reaper removes it
 *   tail-<…>       the bytes after the last whole part, when they are too many to stand in state.json
 *   data           a multipart upload from the first whole part on, an object during `commit`
 *
 * A small blob is written once as a tail (or in state.json) and once as the blob; a large one is written in parts and
 * copied by the store. One process that saw all bytes vouches for their digest; otherwise `data` is read again.
 */
export class S3UploadStore implements UploadStore, UploadReaper {
  readonly #bucket: S3Bucket;
  readonly #blobs: S3BlobStore;
  readonly #reaper: S3UploadReaper;
  readonly #hashes = new RunningHashes();

  constructor(client: S3Client, config: S3StorageConfig, deadlines?: S3Deadlines) {
    this.#bucket = new S3Bucket(client, config, deadlines);
    this.#blobs = new S3BlobStore(client, config, deadlines);
    this.#reaper = new S3UploadReaper(this.#bucket);
  }

  async create(
    repository: RepositoryName,
    algorithm: DigestAlgorithm | undefined,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    const id = randomUUID() as UploadId;
    const call = { operation: 'upload.create', repository, id, signal };
    const startedAt = new Date();
    // Everybody assumes sha256 of a session without a record.
    if (algorithm !== undefined && algorithm !== 'sha256') {
      await saveUpload(this.#bucket, call, this.#empty(call, algorithm));
    }
    const key = uploadStartedAtKey(repository, id);
    const bytes = Buffer.from(startedAt.toISOString());
    const { operation } = call;
    await this.#bucket.put({ operation, key, signal }, bytes, await sha256Of(bytes));
    return { id, repository, startedAt, offset: 0 };
  }

  async find(
    repository: RepositoryName,
    id: UploadId,
    signal: AbortSignal,
  ): Promise<UploadSession | undefined> {
    const call = { operation: 'upload.find', repository, id, signal };
    const { startedAt, state } = await loadUpload(this.#bucket, call);
    if (startedAt === undefined || state?.kind === 'committed') return undefined;
    return { id, repository, startedAt, offset: state?.offset ?? 0 };
  }

  async append(
    session: UploadSession,
    offset: number,
    body: Readable,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    const { id, repository, startedAt } = session;
    const call = { operation: 'upload.append', repository, id, signal };
    const state = await this.#open(call);
    if (state.offset !== offset) throw new UploadOffsetError(state.offset);
    const running = this.#hashes.take(id);
    const outcome = await appendToUpload(this.#bucket, call, { state, running }, body);
    if (outcome.running !== undefined) this.#hashes.put(id, outcome.running);
    if (outcome.failure !== undefined) throw outcome.failure.error;
    return { id, repository, startedAt, offset: outcome.state.offset };
  }

  async commit(session: UploadSession, digest: Digest, signal: AbortSignal): Promise<BlobStat> {
    const { id, repository } = session;
    const call = { operation: 'upload.commit', repository, id, signal };
    this.#hashes.drop(id);
    for (let attempt = 1; attempt <= COMMIT_ATTEMPTS; attempt += 1) {
      const { startedAt, state } = await loadUpload(this.#bucket, call);
      if (state?.kind === 'committed') return await this.#again(call, state.digest, digest);
      if (startedAt === undefined) throw unknownUpload(call);
      const stat = await this.#publish(call, state ?? this.#empty(call, 'sha256'), digest);
      if (stat !== undefined) return stat;
    }
    throw new S3StorageError(call.operation, `the staged bytes of session ${id} are gone`, true);
  }

  async cancel(session: UploadSession, signal: AbortSignal): Promise<void> {
    const { id, repository } = session;
    this.#hashes.drop(id);
    await discardUpload(this.#bucket, { operation: 'upload.cancel', repository, id, signal });
  }

  async reap(repository: RepositoryName, before: Date, signal: AbortSignal): Promise<number> {
    return await this.#reaper.reap(repository, before, signal);
  }

  #empty(call: UploadCall, algorithm: DigestAlgorithm): OpenUpload {
    return emptyUpload(call, algorithm, this.#bucket.config.partBytes);
  }

  /** Where the session stands in the store, whatever its caller believes. */
  async #open(call: UploadCall): Promise<OpenUpload> {
    const { startedAt, state } = await loadUpload(this.#bucket, call);
    if (startedAt === undefined || state?.kind === 'committed') throw unknownUpload(call);
    return state ?? this.#empty(call, 'sha256');
  }

  /** Undefined when the staged bytes are not there (any more). */
  async #publish(
    call: UploadCall,
    state: OpenUpload,
    digest: Digest,
  ): Promise<BlobStat | undefined> {
    try {
      const isPublished = await publishUpload(this.#bucket, this.#blobs, call, state, digest);
      if (!isPublished) return undefined;
    } catch (error) {
      if (error instanceof DigestMismatchError) await this.#discardQuietly(call);
      throw error;
    }
    await finishUpload(this.#bucket, { ...call, signal: cleanupSignal() }, state, digest);
    return { size: state.offset };
  }

  /** A finished session stands for the digest that it had and for no other: commit makes its caller a reader. */
  async #again(call: UploadCall, committed: Digest, digest: Digest): Promise<BlobStat> {
    if (committed !== digest) throw unknownUpload(call);
    const stat = await this.#blobs.stat(digest, call.signal);
    if (stat === undefined) throw unknownUpload(call);
    return stat;
  }

  async #discardQuietly(call: UploadCall): Promise<void> {
    try {
      await discardUpload(this.#bucket, { ...call, signal: cleanupSignal() });
    } catch {
      // The mismatch is the answer; the reaper removes what is left.
    }
  }
}

function unknownUpload({ operation, id }: UploadCall): UploadUnknownError {
  return new UploadUnknownError(operation, `there is no upload session ${id}`);
}
