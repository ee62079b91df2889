import { type Digest, digestAlgorithm, digestOf } from '../../oci/digest.ts';
import { DigestMismatchError } from '../errors.ts';
import { completeMultipart, uploadPart } from './multipart-upload.ts';
import type { S3BlobStore } from './s3-blob-store.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';
import { type OpenUpload, readTail, type UploadCall } from './upload-state.ts';

/**
 * Makes the staged bytes of a session the blob, once they are known to have the digest; throws DigestMismatchError.
 * False when they are not there: another replica was faster. May be repeated after any failure.
 */
export async function publishUpload(
  bucket: S3Bucket,
  blobs: S3BlobStore,
  call: UploadCall,
  state: OpenUpload,
  digest: Digest,
): Promise<boolean> {
  const isKnown =
    state.digest !== undefined && digestAlgorithm(state.digest) === digestAlgorithm(digest);
  if (isKnown) requireDigest(digest, state.digest);
  if (state.parts.length === 0) {
    const bytes = await readTail(bucket, call, state.tail);
    if (bytes === undefined) return false;
    requireDigest(digest, digestOf(bytes, digestAlgorithm(digest)));
    await blobs.publishBytes(digest, bytes, call.signal);
    return true;
  }
  if (!(await completeStaged(bucket, call, state))) return false;
  if (!isKnown) {
    const actual = await blobs.digestOfObject(state.key, digest, call.signal);
    if (actual === undefined) return false;
    requireDigest(digest, actual);
  }
  return await blobs.publishCopy(digest, state.key, state.offset, call.signal);
}

/** Makes parts and tail one object, unless an earlier try did; false when neither is there. */
async function completeStaged(
  bucket: S3Bucket,
  call: UploadCall,
  state: OpenUpload,
): Promise<boolean> {
  const { operation, signal } = call;
  const uploadId = state.multipart?.uploadId;
  if (uploadId === undefined) {
    throw new S3StorageError(operation, `${state.key}: parts without a multipart upload`, false);
  }
  const target = { key: state.key, uploadId };
  const parts = [...state.parts];
  const bytes = await readTail(bucket, call, state.tail);
  if (bytes === undefined) return false;
  if (bytes.length > 0) {
    const last = { number: parts.length + 1, bytes };
    const stored = await uploadPart(bucket, operation, target, last, signal);
    if (stored === undefined) {
      return (await bucket.head(operation, state.key, signal))?.size === state.offset;
    }
    parts.push(stored);
  }
  return (await completeMultipart(bucket, operation, target, parts, signal)) === 'completed';
}

function requireDigest(wanted: Digest, actual: Digest | undefined): void {
  if (actual === wanted) return;
  const found = actual ?? 'none';
  throw new DigestMismatchError(`the content has the digest ${found} instead of ${wanted}`);
}
