import { parseUploadId, type RepositoryName, type UploadId } from '../../oci/reference.ts';
import { foreignUploadDataKey, uploadsFolder } from '../object-keys.ts';
import type { UploadReaper } from '../upload-store.ts';
import { discardUpload } from './end-upload.ts';
import { MultipartOwners } from './multipart-owners.ts';
import { abortMultipartsOf } from './multipart-upload.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { listTree } from './s3-listing.ts';
import { readStartedAt } from './upload-state.ts';

/** Blobs are written by multipart uploads of no repository: they are looked through once in this time. */
const OWNERS_EVERY_MS = 600_000;

/** Removes what sessions and writers of blobs left, working from the records that they keep (I7). */
export class S3UploadReaper implements UploadReaper {
  readonly #bucket: S3Bucket;
  readonly #owners: MultipartOwners;
  #ownersReapedTo = new Date(0);

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
    this.#owners = new MultipartOwners(bucket);
  }

  /** One session that cannot be removed does not keep the others; its fault is thrown at the end. */
  async reap(repository: RepositoryName, before: Date, signal: AbortSignal): Promise<number> {
    const faults: unknown[] = [];
    let count = 0;
    await this.#reapOwners(before, signal);
    for (const [id, oldest] of await this.#sessions(repository, signal)) {
      // The store's clock decides only that nothing here can be old enough.
      if (oldest >= before) continue;
      try {
        if (await this.#reapOne(repository, id, before, signal)) count += 1;
      } catch (error) {
        signal.throwIfAborted();
        faults.push(error);
      }
    }
    if (faults.length > 0) throw faults[0];
    return count;
  }

  /** The sessions with the time of their oldest object. */
  async #sessions(repository: RepositoryName, signal: AbortSignal): Promise<Map<UploadId, Date>> {
    const folder = uploadsFolder(repository);
    const sessions = new Map<UploadId, Date>();
    for await (const page of listTree(this.#bucket, 'upload.reap', folder, signal)) {
      for (const { key, lastModified } of page) {
        const id = parseUploadId(key.slice(folder.length + 1).split('/')[0] ?? '');
        if (id === undefined) continue;
        const known = sessions.get(id);
        if (known === undefined || lastModified < known) sessions.set(id, lastModified);
      }
    }
    return sessions;
  }

  /** True when a session was ended; the records of a finished one go without being counted. */
  async #reapOne(
    repository: RepositoryName,
    id: UploadId,
    before: Date,
    signal: AbortSignal,
  ): Promise<boolean> {
    const operation = 'upload.reap';
    const call = { operation, repository, id, signal };
    const startedAt = await readStartedAt(this.#bucket, call);
    if (startedAt !== undefined && startedAt >= before) return false;
    const foreignKey = foreignUploadDataKey(repository, id);
    await abortMultipartsOf(this.#bucket, operation, foreignKey, undefined, signal);
    await discardUpload(this.#bucket, call);
    return startedAt !== undefined;
  }

  async #reapOwners(before: Date, signal: AbortSignal): Promise<void> {
    if (before.getTime() - this.#ownersReapedTo.getTime() < OWNERS_EVERY_MS) return;
    await this.#owners.reap(before, signal);
    this.#ownersReapedTo = before;
  }
}
