import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';

import type { S3StorageConfig } from '../../config/config.ts';
import type { Digest, DigestAlgorithm } from '../../oci/digest.ts';
import type { RepositoryName, UploadId } from '../../oci/reference.ts';
import type { BlobStat } from '../blob-store.ts';
import { DigestMismatchError, UploadOffsetError, UploadUnknownError } from '../errors.ts';
import { uploadStartedAtKey } from '../object-keys.ts';
import type { UploadReaper, UploadSession, UploadStore } from '../upload-store.ts';
import { appendToUpload, UploadOvertakenError } from './append-to-upload.ts';
import { type OpenSession, OpenSessions } from './open-sessions.ts';
import { publishUpload } from './publish-upload.ts';
import { sha256Of } from './payload-hash.ts';
import { RunningHashes } from './running-hashes.ts';
import { S3BlobStore } from './s3-blob-store.ts';
import { S3Bucket } from './s3-bucket.ts';
import type { StoreClient } from './s3-client.ts';
import { cleanupSignal, type S3Deadlines } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';
import { discardUpload, finishUpload } from './end-upload.ts';
import { S3UploadReaper } from './s3-upload-reaper.ts';
import { emptyUpload } from './upload-record.ts';
import {
  isStillAt,
  loadUpload,
  type LoadedUpload,
  saveUpload,
  startedAtText,
  type UploadCall,
} from './upload-state.ts';

/** How often a commit looks again when another replica took the staged bytes away under it. */
const COMMIT_ATTEMPTS = 2;

/** A session without a record: nobody announced another algorithm. */
const EMPTY = emptyUpload('sha256');

/**
 * Upload sessions in a bucket. What exists under `_uploads/<uuid>/`, and when:
 *
 *   startedat        from `create` until the session ends: it is the session
 *   state-<…>.json   one record per generation, the newest counts: which parts and which tail make up the bytes so far,
 *                    and the tail itself when it is small or all there is.
 *                    A chunk is acknowledged when its record is written, which happens only where none is yet. After
 *                    success the last one only names the digest, until the reaper removes it
 *   tail-<…>         the bytes after the last whole part of chunks after the first, when they are too many for the record
 *   data-<…>         a multipart upload from the first whole part on, an object during `commit`
 *
 * No name is written twice, so a process that was believed dead and goes on changes nothing that another acknowledged.
 *
 * A small blob is written once in a record and once as the blob; a large one is written in parts and copied by the
 * store. What this process has just written it keeps for the request that follows. One process that saw all bytes vouches for their digest; otherwise they are read again.
 */
export class S3UploadStore implements UploadStore, UploadReaper {
  readonly #bucket: S3Bucket;
  readonly #blobs: S3BlobStore;
  readonly #reaper: S3UploadReaper;
  readonly #hashes = new RunningHashes();
  readonly #left = new OpenSessions();
  /** What `find` and `append` learned, for the one call that follows. Nothing rests on it being new. */
  readonly #known = new WeakMap<UploadSession, OpenSession>();

  constructor(client: StoreClient, config: S3StorageConfig, deadlines?: S3Deadlines) {
    this.#bucket = new S3Bucket(client, config, deadlines);
    this.#blobs = new S3BlobStore(client, config, deadlines);
    this.#reaper = new S3UploadReaper(this.#bucket);
  }

  async create(
    repository: RepositoryName,
    algorithm: DigestAlgorithm | undefined,
    signal: AbortSignal,
    id = randomUUID() as UploadId,
  ): Promise<UploadSession> {
    const call = { operation: 'upload.create', repository, id, signal };
    const startedAt = new Date();
    let open: OpenSession = { state: EMPTY, generation: 0, isOwn: true };
    // Everybody assumes sha256 of a session without a record.
    if (algorithm !== undefined && algorithm !== 'sha256') {
      open = { ...open, state: emptyUpload(algorithm), generation: 1 };
      await saveUpload(this.#bucket, call, open.generation, open.state);
    }
    const key = uploadStartedAtKey(repository, id);
    const bytes = Buffer.from(startedAtText(startedAt));
    const { operation } = call;
    await this.#bucket.put({ operation, key, signal }, bytes, await sha256Of(bytes));
    this.#left.put({ ...open, session: { id, repository, startedAt } });
    return { id, repository, startedAt, offset: 0 };
  }

  async find(
    repository: RepositoryName,
    id: UploadId,
    signal: AbortSignal,
  ): Promise<UploadSession | undefined> {
    const call = { operation: 'upload.find', repository, id, signal };
    const left = this.#left.take(id);
    if (left?.session.repository === repository) {
      if (await isStillAt(this.#bucket, call, { ...left.session, generation: left.generation })) {
        this.#left.put(left);
        return this.#session(left.session, left);
      }
    }
    const { startedAt, generation, state } = await loadUpload(this.#bucket, call);
    if (startedAt === undefined || state?.kind === 'committed') return undefined;
    const open = { state: state ?? EMPTY, generation, isOwn: false };
    return this.#session({ id, repository, startedAt }, open);
  }

  async append(
    session: UploadSession,
    offset: number,
    body: Readable,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    const { id, repository } = session;
    const call = { operation: 'upload.append', repository, id, signal };
    signal.throwIfAborted();
    this.#left.drop(id);
    let open = this.#takeKnown(session);
    if (open?.state.offset !== offset) open = openOf(call, await loadUpload(this.#bucket, call));
    if (open.state.offset !== offset) throw new UploadOffsetError(open.state.offset);
    const progress = { ...open, running: this.#hashes.take(id) };
    const outcome = await appendToUpload(this.#bucket, call, progress, body).catch(
      async (error: unknown) => {
        if (!(error instanceof UploadOvertakenError)) throw error;
        const now = openOf(call, await loadUpload(this.#bucket, call));
        throw new UploadOffsetError(now.state.offset);
      },
    );
    if (outcome.running !== undefined) this.#hashes.put(id, outcome.running);
    const { failure } = outcome;
    if (failure !== undefined) throw failure.error;
    const { state, generation, running } = outcome;
    const now = { state, generation, isOwn: running !== undefined };
    this.#left.put({ ...now, session });
    return this.#session(session, now);
  }

  async commit(session: UploadSession, digest: Digest, signal: AbortSignal): Promise<BlobStat> {
    const { id, repository } = session;
    const call = { operation: 'upload.commit', repository, id, signal };
    signal.throwIfAborted();
    this.#hashes.drop(id);
    this.#left.drop(id);
    const known = this.#takeKnown(session);
    const stat = known && (await this.#publishKnown(call, known, digest));
    if (stat !== undefined) return stat;
    for (let attempt = 1; attempt <= COMMIT_ATTEMPTS; attempt += 1) {
      const loaded = await loadUpload(this.#bucket, call);
      const { state } = loaded;
      if (state?.kind === 'committed') return await this.#again(call, state.digest, digest);
      const published = await this.#publish(call, openOf(call, loaded), digest);
      if (published !== undefined) return published;
    }
    throw new S3StorageError(call.operation, `the staged bytes of session ${id} are gone`, true);
  }

  async cancel(session: UploadSession, signal: AbortSignal): Promise<void> {
    const { id, repository } = session;
    this.#hashes.drop(id);
    this.#left.drop(id);
    await discardUpload(this.#bucket, { operation: 'upload.cancel', repository, id, signal });
  }

  async reap(repository: RepositoryName, before: Date, signal: AbortSignal): Promise<number> {
    return await this.#reaper.reap(repository, before, signal);
  }

  /** A session that the next call goes on with without asking the store again. */
  #session(
    { id, repository, startedAt }: Omit<UploadSession, 'offset'>,
    open: OpenSession,
  ): UploadSession {
    const session = { id, repository, startedAt, offset: open.state.offset };
    this.#known.set(session, open);
    return session;
  }

  #takeKnown(session: UploadSession): OpenSession | undefined {
    const known = this.#known.get(session);
    this.#known.delete(session);
    return known;
  }

  /** Undefined when what was known of the session does not do: the store has the last word. */
  async #publishKnown(
    call: UploadCall,
    known: OpenSession,
    digest: Digest,
  ): Promise<BlobStat | undefined> {
    try {
      return await this.#publishOnce(call, known, digest);
    } catch (error) {
      if (error instanceof DigestMismatchError) return undefined;
      throw error;
    }
  }

  async #publish(
    call: UploadCall,
    open: OpenSession,
    digest: Digest,
  ): Promise<BlobStat | undefined> {
    try {
      return await this.#publishOnce(call, open, digest);
    } catch (error) {
      if (error instanceof DigestMismatchError) await this.#discardQuietly(call);
      throw error;
    }
  }

  /** Undefined when the staged bytes are not there (any more). */
  async #publishOnce(
    call: UploadCall,
    open: OpenSession,
    digest: Digest,
  ): Promise<BlobStat | undefined> {
    if (!(await publishUpload(this.#bucket, this.#blobs, call, open, digest))) {
      return undefined;
    }
    await finishUpload(this.#bucket, { ...call, signal: cleanupSignal() }, open, digest);
    return { size: open.state.offset };
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

/** Where the session stands in the store, whatever its caller believes. */
function openOf(call: UploadCall, { startedAt, state, generation }: LoadedUpload): OpenSession {
  if (startedAt === undefined || state?.kind === 'committed') throw unknownUpload(call);
  return { state: state ?? EMPTY, generation, isOwn: false };
}

function unknownUpload({ operation, id }: UploadCall): UploadUnknownError {
  return new UploadUnknownError(operation, `there is no upload session ${id}`);
}
