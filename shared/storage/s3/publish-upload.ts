import { type Digest, digestAlgorithm, digestOf } from '../../oci/digest.ts';
import { DigestMismatchError } from '../errors.ts';
import { completeMultipart, type StoredPart, uploadPart } from './multipart-upload.ts';
import type { S3BlobStore } from './s3-blob-store.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';
import type { OpenSession } from './open-sessions.ts';
import { segmentSize, type UploadSegment } from './upload-record.ts';
import type { UploadCall } from './upload-state.ts';
import { readTail } from './upload-tail.ts';

/** The staged bytes as objects of the store, in turn, and what follows them. */
interface StagedBytes {
  readonly objects: readonly { readonly key: string; readonly size: number }[];
  readonly rest: Buffer;
}

/**
 * Makes the staged bytes of a session the blob, once they are known to have the digest; throws DigestMismatchError.
 * False when they are not there: another replica was faster. May be repeated after any failure.
 */
export async function publishUpload(
  bucket: S3Bucket,
  blobs: S3BlobStore,
  call: UploadCall,
  { state, isOwn }: OpenSession,
  digest: Digest,
): Promise<boolean> {
  const algorithm = digestAlgorithm(digest);
  const isKnown = state.digest !== undefined && digestAlgorithm(state.digest) === algorithm;
  if (isKnown) requireDigest(digest, state.digest);
  const tail = await readTail(bucket, call, state.tail);
  if (tail === undefined) return false;
  const segments = state.segments.filter(({ parts }) => parts.length > 0);
  if (segments.length === 0) {
    // What this process itself has hashed and kept is what it hashed; what was read back may not be.
    const isHashed = isKnown && isOwn && state.tail.pieces.length === 0;
    if (!isHashed) requireDigest(digest, digestOf(tail, algorithm));
    await blobs.publishBytes(digest, tail, call.signal);
    return true;
  }
  const staged = await completeSegments(bucket, call, segments, tail);
  if (staged === undefined) return false;
  if (!isKnown) {
    const keys = staged.objects.map(({ key }) => key);
    const actual = await blobs.digestOfObjects(keys, staged.rest, algorithm, call.signal);
    if (actual === undefined) return false;
    requireDigest(digest, actual);
  }
  return await blobs.publishCopy(digest, staged, call.signal);
}

/** Makes each segment an object, unless an earlier try did; undefined when one of them is gone. */
async function completeSegments(
  bucket: S3Bucket,
  call: UploadCall,
  segments: readonly UploadSegment[],
  tail: Buffer,
): Promise<StagedBytes | undefined> {
  const [only] = segments;
  // The usual case: one object with everything. A part under the next number could meet a late one of a broken append.
  const takesTail = segments.length === 1 && only?.isClaimed === false;
  const objects: { key: string; size: number }[] = [];
  for (const segment of segments) {
    const rest = takesTail ? tail : Buffer.alloc(0);
    const size = segmentSize(segment) + rest.length;
    if (!(await completeSegment(bucket, call, segment, rest, size))) return undefined;
    objects.push({ key: segment.key, size });
  }
  return { objects, rest: takesTail ? Buffer.alloc(0) : tail };
}

async function completeSegment(
  bucket: S3Bucket,
  { operation, signal }: UploadCall,
  { key, uploadId, parts }: UploadSegment,
  rest: Buffer,
  size: number,
): Promise<boolean> {
  if (uploadId === undefined) {
    throw new S3StorageError(operation, `${key}: parts without a multipart upload`, false);
  }
  const target = { key, uploadId };
  const all: StoredPart[] = [...parts];
  const isThere = async (): Promise<boolean> =>
    (await bucket.head(operation, key, signal))?.size === size;
  if (rest.length > 0) {
    const last = { number: parts.length + 1, bytes: rest };
    try {
      const stored = await uploadPart(bucket, operation, target, last, signal);
      if (stored === undefined) return await isThere();
      all.push(stored);
    } catch (error) {
      // A store may cut the connection instead of reading a part of an upload that an earlier try completed.
      if (await isThere()) return true;
      throw error;
    }
  }
  return (await completeMultipart(bucket, operation, target, all, signal)) === 'completed';
}

function requireDigest(wanted: Digest, actual: Digest | undefined): void {
  if (actual === wanted) return;
  const found = actual ?? 'none';
  throw new DigestMismatchError(`the content has the digest ${found} instead of ${wanted}`);
}
