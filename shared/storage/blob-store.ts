import type { Readable, Writable } from 'node:stream';

import type { Digest } from '../oci/digest.ts';
import type { RangeRequest } from '../oci/range.ts';

export interface BlobStat {
  /** Size in bytes. */
  readonly size: number;
  /** Another one when the bytes were stored anew; undefined where nobody can tell. */
  readonly version?: string | undefined;
}

/** A file of this machine whose bytes were found to have the digest while they were written. Nobody writes to it any more. */
export interface VerifiedFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

/** Where the bytes of a blob come from. */
export type BlobSource = Buffer | Readable | VerifiedFile;

/** Gets each chunk of a body before it goes on; what it throws ends the body before that chunk. */
export type InspectChunk = (chunk: Buffer) => void;

/** An open blob. Whoever opened it destroys the stream, reads it to the end, or calls `copyTo`. */
export interface BlobBody {
  /** Size of the whole blob in bytes. */
  readonly totalBytes: number;
  /** Which bytes the stream carries. */
  readonly offset: number;
  readonly length: number;
  /** As in BlobStat. */
  readonly version?: string | undefined;
  readonly stream: Readable;
  /** The bytes that the stream carries, where they are in memory: then nobody need read or destroy it. */
  readonly bytes?: Buffer;
  /**
   * Writes what the stream carries to a destination as fast as that takes it, without a stream in between; leaves it
   * open. In place of reading `stream`. Resolves as soon as the system has the last byte. Rejects, as the stream would
   * fail, when not all bytes could be written.
   */
  readonly copyTo?: (destination: Writable, inspect?: InspectChunk) => Promise<void>;
}

/**
 * Content-addressed bytes, `blobs/<alg>/<2 hex>/<hex>/data`. A blob appears by one atomic act after its digest was
 * verified (I3). It knows nothing of repositories: who may read a blob is decided before it is asked. Faults of the
 * store are StorageError; a stream that fails midway is destroyed with an error, never ended short.
 */
export interface BlobStore {
  stat(digest: Digest, signal: AbortSignal): Promise<BlobStat | undefined>;
  /** For clients, who may read slowly. Undefined when absent. Throws RangeNotSatisfiableError. */
  open(
    digest: Digest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | undefined>;
  /** All of a small blob; undefined when absent. A blob of more than `maxBytes` is a StorageError. */
  read(digest: Digest, maxBytes: number, signal: AbortSignal): Promise<Buffer | undefined>;
  /**
   * Stores the bytes under their digest; resolves when they are durable. Throws DigestMismatchError or, when
   * `size` was given and is not met, SizeMismatchError: then nothing is visible and nothing is left behind. Storing
   * what is there already repairs it. Memory is bounded whatever the size. The bytes of a file are not verified once
   * more; it stays where it is, and may get another name in the store in place of a copy.
   */
  put(
    digest: Digest,
    body: BlobSource,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat>;
  /** Idempotent. */
  delete(digest: Digest, signal: AbortSignal): Promise<void>;
}
