import { randomUUID } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';

import { LRUCache } from 'lru-cache';

import type { Clock } from '../../lifecycle/clock.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../../oci/digest.ts';
import type { RepositoryName, UploadId } from '../../oci/reference.ts';
import type { BlobStat } from '../blob-store.ts';
import {
  DigestMismatchError,
  StorageError,
  UploadOffsetError,
  UploadUnknownError,
} from '../errors.ts';
import { blobKey, uploadFolder, uploadsFolder } from '../object-keys.ts';
import type { UploadReaper, UploadSession, UploadStore } from '../upload-store.ts';
import { type Appended, appendToStaged } from './append-to-staged.ts';
import { digestOfStaged, type StagedDigest } from './digest-of-staged.ts';
import { DurableFiles, TempFileGoneError } from './durable-files.ts';
import { guarded, unlessAbsent } from './filesystem-errors.ts';
import { sweepTemp } from './probe-filesystem.ts';
import { newHash, progressOf, type RunningHash } from './running-hash.ts';
import {
  type Claim,
  claimStaged,
  createStagedFile,
  releaseStaged,
  stagedBytes,
} from './staged-file.ts';
import {
  readCommitted,
  readProgress,
  readStartedAt,
  removeOpenRecords,
  writeCommitted,
  writeProgress,
  writeStartedAt,
} from './upload-records.ts';

/** Sessions whose running hash is kept; one takes about a kilobyte. The others are read again at their commit. */
const KEPT_HASHES = 2000;
/** Between two looks at a staged file that another replica works on. */
const PAUSE_MS = 25;
/** Commits of one session that race on several replicas take the staged file from one another. */
const MAX_COMMIT_RACES = 5;

/**
 * Upload sessions as folders `_uploads/<uuid>/` below a root folder: the staged bytes in one file that is appended to
 * and in the end renamed to its blob key. Its length is the offset; nothing else is. After each append the bytes are
 * on disk and the digest so far stands beside them, so that any replica can commit a session of one chunk by comparing
 * digests. A session whose chunks came to several replicas is read once at its commit. What a finished session leaves,
 * one small file that lets it be committed again, goes with the next run of the reaper.
 */
export class FilesystemUploadStore implements UploadStore, UploadReaper {
  readonly #files: DurableFiles;
  readonly #clock: Clock;
  readonly #hashes = new LRUCache<UploadId, RunningHash>({ max: KEPT_HASHES });

  constructor(root: string, clock: Clock) {
    this.#files = new DurableFiles(root);
    this.#clock = clock;
  }

  create(
    repository: RepositoryName,
    algorithm: DigestAlgorithm | undefined,
    signal: AbortSignal,
    id = randomUUID() as UploadId,
  ): Promise<UploadSession> {
    return guarded('upload.create', signal, async () => {
      const startedAt = this.#clock.now();
      this.#files.prepareOnce();
      const folder = this.#folder(repository, id);
      const hash = newHash(algorithm ?? 'sha256');
      await this.#files.makeFolder(folder);
      await writeStartedAt(this.#files.calls, folder, startedAt);
      // Without a record the first chunk is hashed as sha256.
      if (hash.algorithm !== 'sha256')
        await writeProgress(this.#files.calls, folder, progressOf(hash, 0));
      await createStagedFile(this.#files, folder);
      this.#hashes.set(id, hash);
      return { id, repository, startedAt, offset: 0 };
    });
  }

  find(
    repository: RepositoryName,
    id: UploadId,
    signal: AbortSignal,
  ): Promise<UploadSession | undefined> {
    return guarded('upload.find', signal, async () => {
      const folder = this.#folder(repository, id);
      const [startedAt, offset] = await Promise.all([
        readStartedAt(this.#files.calls, folder),
        stagedBytes(this.#files, folder),
      ]);
      if (!startedAt || offset === undefined) return undefined;
      return { id, repository, startedAt, offset };
    });
  }

  append(
    session: UploadSession,
    offset: number,
    body: Readable,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    const append = async (): Promise<UploadSession> => {
      const folder = this.#folder(session.repository, session.id);
      const claim = await claimStaged(this.#files, folder, this.#pause(signal), offset);
      let running: RunningHash | undefined;
      let appended: Appended;
      try {
        running = await this.#takeHash(session.id, folder, claim);
        appended = await appendToStaged(claim, body, running?.hash, signal);
        await claim.handle.close();
      } catch (error) {
        // After a failed synchronisation nobody knows what is on disk, and a second one would not tell.
        await claim.handle.close().catch(() => undefined);
        await this.#drop(session);
        throw error;
      }
      const isKept = await releaseStaged(this.#files, folder, claim.path);
      if (!isKept) throw appended.fault ?? (await this.#overtaken(folder));
      // A write that failed may have left more or fewer bytes than were hashed: then the file is read at commit.
      if (running && appended.size === offset + appended.hashedBytes) {
        const hash = { ...running, offset: appended.size, inode: claim.inode };
        this.#hashes.set(session.id, hash);
        if (appended.fault === undefined) {
          await writeProgress(this.#files.calls, folder, progressOf(hash, claim.inode));
        }
      }
      if (appended.fault !== undefined) throw appended.fault;
      return { ...session, offset: appended.size };
    };
    return guarded('upload.append', signal, append, body);
  }

  commit(session: UploadSession, digest: Digest, signal: AbortSignal): Promise<BlobStat> {
    return guarded('upload.commit', signal, async () => {
      for (let race = 0; ; race += 1) {
        try {
          return await this.#commitOnce(session, digest, signal);
        } catch (error) {
          if (!(error instanceof TempFileGoneError)) throw error;
          if (race < MAX_COMMIT_RACES) continue;
          throw new StorageError(
            'upload.commit',
            'the session is being committed elsewhere',
            error,
          );
        }
      }
    });
  }

  cancel(session: UploadSession, signal: AbortSignal): Promise<void> {
    return guarded('upload.cancel', signal, () => this.#drop(session));
  }

  reap(repository: RepositoryName, before: Date, signal: AbortSignal): Promise<number> {
    return guarded('upload.reap', signal, async () => {
      const uploads = uploadsFolder(repository);
      const names = (await unlessAbsent(readdir(this.#files.path(uploads)))) ?? [];
      let reaped = 0;
      for (const name of names) {
        signal.throwIfAborted();
        const folder = this.#files.path(`${uploads}/${name}`);
        const isFinished =
          (await readCommitted(this.#files.calls, folder)) !== undefined &&
          (await stagedBytes(this.#files, folder)) === undefined;
        const startedAt =
          (await readStartedAt(this.#files.calls, folder)) ??
          (await unlessAbsent(stat(folder)))?.mtime;
        const isOld = startedAt !== undefined && startedAt < before;
        if (!isFinished && !isOld) continue;
        const isRemoved = await this.#files.removeTree(`${uploads}/${name}`, false);
        if (isRemoved && !isFinished) reaped += 1;
      }
      await sweepTemp(this.#files.tempRoot, before);
      return reaped;
    });
  }

  async #commitOnce(
    session: UploadSession,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    const folder = this.#folder(session.repository, session.id);
    const claim = await unlessUnknown(claimStaged(this.#files, folder, this.#pause(signal)));
    if (!claim) return this.#recommit(folder, digest);
    const staged = await this.#examine(folder, claim, digest, signal);
    if (staged.digest !== digest) {
      await claim.handle.close();
      await this.#drop(session);
      throw new DigestMismatchError(`the uploaded content does not have the digest ${digest}`);
    }
    await this.#synchronise(session, claim, staged.isOnDisk);
    try {
      await writeCommitted(this.#files.calls, folder, digest);
      await this.#files.publish(claim.path, blobKey(digest));
    } catch (error) {
      await releaseStaged(this.#files, folder, claim.path);
      throw error;
    }
    this.#hashes.delete(session.id);
    await removeOpenRecords(this.#files.calls, folder);
    return { size: claim.size };
  }

  /** What is staged. When that cannot be found out the claim is given back. */
  async #examine(
    folder: string,
    claim: Claim,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<StagedDigest> {
    try {
      return await digestOfStaged(
        this.#files.calls,
        folder,
        claim,
        digestAlgorithm(digest),
        signal,
      );
    } catch (error) {
      await claim.handle.close();
      await releaseStaged(this.#files, folder, claim.path);
      throw error;
    }
  }

  /** What tells of an append whose session another went on with, or ended, meanwhile. */
  async #overtaken(folder: string): Promise<Error> {
    const offset = await stagedBytes(this.#files, folder);
    return offset === undefined
      ? new UploadUnknownError('upload.append', 'the upload session is gone')
      : new UploadOffsetError(offset);
  }

  async #synchronise(session: UploadSession, claim: Claim, isOnDisk: boolean): Promise<void> {
    try {
      if (!isOnDisk) await claim.handle.datasync();
      await claim.handle.close();
    } catch (error) {
      await claim.handle.close().catch(() => undefined);
      await this.#drop(session);
      throw error;
    }
  }

  /** A session without staged bytes is finished: it stands for the blob that it became, and proves nothing else. */
  async #recommit(folder: string, digest: Digest): Promise<BlobStat> {
    if ((await readCommitted(this.#files.calls, folder)) === digest) {
      const found = await unlessAbsent(stat(this.#files.path(blobKey(digest))));
      if (found) {
        await this.#files.confirm(blobKey(digest));
        return { size: found.size };
      }
    }
    throw new UploadUnknownError('upload.commit', 'the upload session is gone');
  }

  /** The hash of what is staged so far, for one append alone; undefined when that was hashed elsewhere. */
  async #takeHash(id: UploadId, folder: string, claim: Claim): Promise<RunningHash | undefined> {
    const kept = this.#hashes.get(id);
    this.#hashes.delete(id);
    const isOfThisFile = kept?.inode === undefined || kept.inode === claim.inode;
    if (kept?.offset === claim.size && isOfThisFile) return kept;
    if (claim.size > 0) return undefined;
    return newHash((await readProgress(this.#files.calls, folder))?.algorithm ?? 'sha256');
  }

  async #drop(session: UploadSession): Promise<void> {
    this.#hashes.delete(session.id);
    await this.#files.removeTree(uploadFolder(session.repository, session.id), false);
  }

  #pause(signal: AbortSignal): () => Promise<void> {
    return () => this.#clock.sleep(PAUSE_MS, signal);
  }

  #folder(repository: RepositoryName, id: UploadId): string {
    return this.#files.path(uploadFolder(repository, id));
  }
}

async function unlessUnknown<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof UploadUnknownError) return undefined;
    throw error;
  }
}
