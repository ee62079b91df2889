import type { Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { type Digest, digestAlgorithm, digestOf } from '../../oci/digest.ts';
import { type RangeRequest, resolveRange } from '../../oci/range.ts';
import type { BlobBody, BlobSource, BlobStat, BlobStore, VerifiedFile } from '../blob-store.ts';
import { RangeNotSatisfiableError, StorageError } from '../errors.ts';
import { blobKey } from '../object-keys.ts';
import { contentFault, VerifyStream } from '../verify-stream.ts';
import { DurableFiles } from './durable-files.ts';
import { FileBody, type VersionedStat } from './file-body.ts';
import { FileSink } from './file-sink.ts';
import { guarded, unlessAbsent } from './filesystem-errors.ts';

/**
 * Blobs as files `blobs/<alg>/<2 hex>/<hex>/data` below a root folder. A blob is written under a temporary name and
 * renamed when it is verified and on disk; readers of a blob that is stored again keep the bytes they opened.
 */
export class FilesystemBlobStore implements BlobStore {
  readonly #files: DurableFiles;

  constructor(root: string) {
    this.#files = new DurableFiles(root);
  }

  stat(digest: Digest, signal: AbortSignal): Promise<BlobStat | undefined> {
    return guarded('blob.stat', signal, async () => {
      const found = await unlessAbsent(stat(this.#files.path(blobKey(digest))));
      return found?.isFile() === true ? versionedStat(found) : undefined;
    });
  }

  open(
    digest: Digest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | undefined> {
    return guarded('blob.open', signal, async () => {
      const handle = await unlessAbsent(open(this.#files.path(blobKey(digest)), 'r'));
      if (!handle) return undefined;
      try {
        const found = await handle.stat();
        const { size } = found;
        const resolved = range ? resolveRange(range, size) : { offset: 0, length: size };
        if (!resolved) throw new RangeNotSatisfiableError(size);
        signal.throwIfAborted();
        return new FileBody(handle, versionedStat(found), resolved, signal);
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  read(digest: Digest, maxBytes: number, signal: AbortSignal): Promise<Buffer | undefined> {
    return guarded('blob.read', signal, async () => {
      const handle = await unlessAbsent(open(this.#files.path(blobKey(digest)), 'r'));
      if (!handle) return undefined;
      try {
        const { size } = await handle.stat();
        if (size <= maxBytes) return await handle.readFile();
        throw new StorageError('blob.read', `${digest} has ${size} bytes, more than ${maxBytes}`);
      } finally {
        await handle.close();
      }
    });
  }

  async put(
    digest: Digest,
    body: BlobSource,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    if (Buffer.isBuffer(body)) {
      return guarded('blob.put', signal, () => this.#putBuffer(digest, body, size, signal));
    }
    if (!(body instanceof Readable)) {
      return guarded('blob.put', signal, () => this.#putFile(digest, body, signal));
    }
    try {
      const put = (): Promise<BlobStat> => this.#putStream(digest, body, size, signal);
      return await guarded('blob.put', signal, put, body);
    } finally {
      body.destroy();
    }
  }

  delete(digest: Digest, signal: AbortSignal): Promise<void> {
    return guarded('blob.delete', signal, async () => {
      await this.#files.remove(blobKey(digest), 1);
    });
  }

  async #putBuffer(
    digest: Digest,
    bytes: Buffer,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    const fault = contentFault({
      digest,
      size,
      actualDigest: digestOf(bytes, digestAlgorithm(digest)),
      actualSize: bytes.length,
    });
    if (fault) throw fault;
    await this.#files.write(blobKey(digest), bytes, signal);
    return { size: bytes.length };
  }

  async #putFile(
    digest: Digest,
    { path: source, size }: VerifiedFile,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    const path = await this.#files.adoptTemp(source);
    try {
      const handle = await open(path, 'r+');
      try {
        const { size: actualSize } = await handle.stat();
        if (actualSize !== size) {
          throw new StorageError(
            'blob.put',
            `${size} bytes were verified, ${actualSize} are there`,
          );
        }
        await handle.datasync();
      } finally {
        await handle.close();
      }
      signal.throwIfAborted();
      await this.#files.publish(path, blobKey(digest));
      return { size };
    } catch (error) {
      await this.#files.drop(path);
      throw error;
    }
  }

  async #putStream(
    digest: Digest,
    body: Readable,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    const { path, handle } = await this.#files.openTemp();
    try {
      const verified = new VerifyStream(digest, size);
      const sink = new FileSink(handle);
      try {
        await pipeline(body, verified, sink, { signal });
        await handle.datasync();
      } finally {
        await sink.settle();
        await handle.close();
      }
      await this.#files.publish(path, blobKey(digest));
      return { size: verified.bytes };
    } catch (error) {
      await this.#files.drop(path);
      throw error;
    }
  }
}

/** A blob that is stored again is another file. */
const versionedStat = ({ size, ino, mtimeMs }: Stats): VersionedStat => ({
  size,
  version: `${ino} ${mtimeMs}`,
});
