import { Readable, type Writable } from 'node:stream';

import type { S3StorageConfig } from '../../config/config.ts';
import {
  type Digest,
  type DigestAlgorithm,
  digestAlgorithm,
  digestHex,
  digestOf,
  finishDigest,
  startDigest,
} from '../../oci/digest.ts';
import { type RangeRequest, resolveRange } from '../../oci/range.ts';
import type {
  BlobBody,
  BlobSource,
  BlobStat,
  BlobStore,
  InspectChunk,
  VerifiedFile,
} from '../blob-store.ts';
import { RangeNotSatisfiableError, SizeMismatchError } from '../errors.ts';
import { blobKey } from '../object-keys.ts';
import { contentFault } from '../verify-stream.ts';
import { copyObjects, type CopySources, sizeOf } from './copy-objects.ts';
import { MultipartOwners, type OwnedMultipart } from './multipart-owners.ts';
import { completeMultipart } from './multipart-upload.ts';
import { firstPartBytes, PartAssembler } from './part-assembler.ts';
import { PartUploader } from './part-uploader.ts';
import { sha256Of } from './payload-hash.ts';
import { readBody } from './read-body.ts';
import { readFile } from './read-file.ts';
import type { OpenObject } from './object-reads.ts';
import { S3Bucket } from './s3-bucket.ts';
import type { StoreClient } from './s3-client.ts';
import type { S3Deadlines } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';

const PUT = 'blob.put';
/** A file of up to so many parts is stored by one request: each part of an upload would be hashed once more. */
const WHOLE_PARTS = 8;
/** What S3 takes by one request. */
const MAX_WHOLE_BYTES = 5 * 1024 ** 3;

/** Hands all bytes of a blob on and resolves to their number when they are known to be right. */
type BytesTo = (take: (chunk: Buffer) => Promise<void>) => Promise<number>;

/**
 * Blobs as objects of a bucket. A blob appears by one PutObject, CompleteMultipartUpload or CopyObject, each only after
 * its digest was verified. A blob that is there already is read and left alone when it is intact: MinIO lets no writer
 * at an object while anybody reads it, so overwriting would wait for the slowest reader. A damaged one is replaced.
 */
export class S3BlobStore implements BlobStore {
  readonly #bucket: S3Bucket;
  readonly #owners: MultipartOwners;
  #pulls = 0;

  constructor(client: StoreClient, config: S3StorageConfig, deadlines?: S3Deadlines) {
    this.#bucket = new S3Bucket(client, config, deadlines);
    this.#owners = new MultipartOwners(this.#bucket);
  }

  async stat(digest: Digest, signal: AbortSignal): Promise<BlobStat | undefined> {
    const found = await this.#bucket.head('blob.stat', blobKey(digest), signal);
    return found && { size: found.size, version: found.version };
  }

  async open(
    digest: Digest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | undefined> {
    const call = { operation: 'blob.open', key: blobKey(digest), signal, isPull: true };
    const { maxPulls } = this.#bucket.config;
    if (this.#pulls >= maxPulls) {
      throw new S3StorageError(call.operation, `${maxPulls} blobs are being read already`, true);
    }
    const opened = await this.#counted(() => this.#bucket.open(call, range && rangeHeader(range)));
    if (opened === undefined) return undefined;
    if (opened === 'refused') {
      const found = await this.stat(digest, signal);
      if (found === undefined) return undefined;
      throw new RangeNotSatisfiableError(found.size);
    }
    try {
      return asBlobBody(opened, range, call.key);
    } catch (error) {
      opened.stream.destroy();
      throw error;
    }
  }

  async read(digest: Digest, maxBytes: number, signal: AbortSignal): Promise<Buffer | undefined> {
    const call = { operation: 'blob.read', key: blobKey(digest), signal };
    return await this.#bucket.get(call, maxBytes);
  }

  async put(
    digest: Digest,
    body: BlobSource,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    if (body instanceof Readable) return await this.#putStream(digest, body, size, signal);
    if (!Buffer.isBuffer(body)) return await this.#putFile(digest, body, signal);
    const actualDigest = digestOf(body, digestAlgorithm(digest));
    const fault = contentFault({ digest, size, actualDigest, actualSize: body.length });
    if (fault !== null) throw fault;
    await this.publishBytes(digest, body, signal);
    return { size: body.length };
  }

  async delete(digest: Digest, signal: AbortSignal): Promise<void> {
    await this.#bucket.delete('blob.delete', blobKey(digest), signal);
  }

  /** Stores bytes whose digest the caller has verified. */
  async publishBytes(digest: Digest, bytes: Buffer, signal: AbortSignal): Promise<void> {
    if (await this.#isIntact(digest, bytes.length, signal)) return;
    const isSha256 = digestAlgorithm(digest) === 'sha256';
    const sha256 = isSha256 ? digestHex(digest) : await sha256Of(bytes);
    await this.#bucket.put({ operation: PUT, key: blobKey(digest), signal }, bytes, sha256);
  }

  /** Makes staged bytes whose digest the caller has verified the blob; false when an object of them is not there. */
  async publishCopy(digest: Digest, staged: CopySources, signal: AbortSignal): Promise<boolean> {
    if (await this.#isIntact(digest, sizeOf(staged), signal)) return true;
    const to = blobKey(digest);
    return await copyObjects(this.#bucket, this.#owners, { ...staged, to }, signal);
  }

  /** A pull holds its connection until its stream is closed. */
  async #counted<Opened extends OpenObject | 'refused' | undefined>(
    open: () => Promise<Opened>,
  ): Promise<Opened> {
    this.#pulls += 1;
    const end = (): void => {
      this.#pulls -= 1;
    };
    try {
      const opened = await open();
      if (typeof opened === 'object') opened.stream.once('close', end);
      else end();
      return opened;
    } catch (error) {
      end();
      throw error;
    }
  }

  async #putStream(
    digest: Digest,
    body: Readable,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    const algorithm = digestAlgorithm(digest);
    const hash = startDigest(algorithm);
    let actualSize = 0;
    const bytesTo: BytesTo = async (take) => {
      await readBody(body, signal, async (chunk) => {
        actualSize += chunk.length;
        if (size !== undefined && actualSize > size) throw longerThan(size, body);
        hash.update(chunk);
        await take(chunk);
      });
      const actualDigest = finishDigest(algorithm, hash);
      const fault = contentFault({ digest, size, actualDigest, actualSize });
      if (fault !== null) throw fault;
      return actualSize;
    };
    return await this.#putBytes(digest, bytesTo, size, signal);
  }

  async #putFile(digest: Digest, file: VerifiedFile, signal: AbortSignal): Promise<BlobStat> {
    const { size } = file;
    const limit = Math.min(this.#bucket.config.partBytes * WHOLE_PARTS, MAX_WHOLE_BYTES);
    const isWhole = digestAlgorithm(digest) === 'sha256' && size > 0 && size <= limit;
    if (isWhole && (await this.#putWhole(digest, file, signal))) return { size };
    // It was refused, for all that is known because its bytes are others by now.
    const hash = isWhole ? startDigest('sha256') : undefined;
    const bytesTo: BytesTo = async (take) => {
      const actualSize = await readFile(file.path, signal, async (chunk) => {
        hash?.update(chunk);
        await take(chunk);
      });
      const actualDigest = hash ? finishDigest('sha256', hash) : digest;
      if (actualSize === size && actualDigest === digest) return size;
      const what = `${size} bytes of that digest were verified, ${actualSize} of ${actualDigest} are there`;
      throw new S3StorageError(PUT, `${blobKey(digest)}: ${what}`, false);
    };
    return await this.#putBytes(digest, bytesTo, size, signal);
  }

  /** The store holds what it gets against the digest, which is the hash that it was told. False when it did not take it. */
  async #putWhole(digest: Digest, file: VerifiedFile, signal: AbortSignal): Promise<boolean> {
    if (await this.#isIntact(digest, file.size, signal)) return true;
    const call = { operation: PUT, key: blobKey(digest), signal };
    return await this.#bucket.putFile(call, file, digestHex(digest));
  }

  async #putBytes(
    digest: Digest,
    bytesTo: BytesTo,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    const key = blobKey(digest);
    let owned: OwnedMultipart | undefined;
    const uploader = new PartUploader(this.#bucket, {
      operation: PUT,
      key,
      begin: async () => {
        owned = await this.#owners.begin(PUT, key, signal);
        return owned.uploadId;
      },
      onReleased: (part) => {
        assembler.recycle(part);
      },
      signal,
    });
    const partBytes = firstPartBytes(this.#bucket.config.partBytes, size);
    const assembler = new PartAssembler({ partBytes, pool: this.#bucket.parts }, (part) =>
      uploader.add(part),
    );
    try {
      const actualSize = await bytesTo((chunk) => assembler.write(chunk));
      if (owned === undefined) await this.publishBytes(digest, assembler.rest.bytes, signal);
      else await this.#complete(digest, owned, { uploader, assembler, actualSize }, signal);
      return { size: actualSize };
    } catch (error) {
      await uploader.settle();
      await owned?.abort();
      throw error;
    }
  }

  async #complete(
    digest: Digest,
    owned: OwnedMultipart,
    parts: {
      readonly uploader: PartUploader;
      readonly assembler: PartAssembler;
      readonly actualSize: number;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { uploader, assembler, actualSize } = parts;
    await uploader.add(assembler.rest);
    const stored = await uploader.finish();
    if (await this.#isIntact(digest, actualSize, signal)) {
      await owned.abort();
      return;
    }
    if ((await completeMultipart(this.#bucket, PUT, owned, stored, signal)) === 'gone') {
      throw new S3StorageError(PUT, `${owned.key}: the multipart upload is gone`, true);
    }
    await owned.release();
  }

  /** Whether the blob is there with exactly these bytes; one that cannot be read counts as damaged. */
  async #isIntact(digest: Digest, size: number, signal: AbortSignal): Promise<boolean> {
    const key = blobKey(digest);
    const found = await this.#bucket.head(PUT, key, signal);
    if (found?.size !== size) return false;
    try {
      const algorithm = digestAlgorithm(digest);
      const actual = await this.digestOfObjects([key], Buffer.alloc(0), algorithm, signal);
      return actual === digest;
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }

  /** The digest of objects in turn and of `rest` after them; undefined when one is not there. Reads all of it. */
  async digestOfObjects(
    keys: readonly string[],
    rest: Buffer,
    algorithm: DigestAlgorithm,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const hash = startDigest(algorithm);
    for (const key of keys) {
      const opened = await this.#bucket.open({ operation: 'blob.verify', key, signal }, undefined);
      if (opened === undefined || opened === 'refused') return undefined;
      for await (const chunk of opened.stream as AsyncIterable<Buffer>) hash.update(chunk);
    }
    return finishDigest(algorithm, hash.update(rest));
  }
}

function rangeHeader(range: RangeRequest): string {
  if (range.kind === 'suffix') return `bytes=-${range.length}`;
  return `bytes=${range.first}-${range.last ?? ''}`;
}

/** Ends the body too: more of it would only be thrown away. */
function longerThan(size: number, body: Readable): SizeMismatchError {
  const error = new SizeMismatchError(`the content is longer than the announced ${size} bytes`);
  body.destroy();
  return error;
}

/**
 * Holds the answer against what was asked. Servers differ for the edges: MinIO answers a suffix of an empty object
 * with `bytes 0--1/0`, versitygw with 200.
 */
function asBlobBody(opened: OpenObject, range: RangeRequest | undefined, key: string): BlobBody {
  const { length, contentRange, version, stream } = opened;
  const total = /^bytes .*\/(\d+)$/.exec(contentRange ?? '')?.[1];
  const totalBytes = total === undefined ? length : Number(total);
  const copyTo = (destination: Writable, inspect?: InspectChunk): Promise<void> =>
    stream.copyTo(destination, inspect);
  if (range === undefined) return { totalBytes, offset: 0, length, version, stream, copyTo };
  const resolved = resolveRange(range, totalBytes);
  if (resolved === undefined) throw new RangeNotSatisfiableError(totalBytes);
  const { offset } = resolved;
  const isExact =
    contentRange === undefined
      ? offset === 0 && length === totalBytes && resolved.length === totalBytes
      : contentRange.startsWith(`bytes ${offset}-${offset + length - 1}/`);
  if (!isExact || resolved.length !== length) {
    throw new S3StorageError('blob.open', `${key}: the store sent another range`, false);
  }
  return { totalBytes, offset, length, version, stream, copyTo };
}
