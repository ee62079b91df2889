import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
} from '@aws-sdk/client-s3';

import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';

/** A part that the store has. `etag` binds it: no other bytes of that number are ever completed. */
export interface StoredPart {
  readonly n: number;
  readonly etag: string;
  readonly size: number;
}

/** A multipart upload that has begun. */
export interface MultipartTarget {
  readonly key: string;
  readonly uploadId: string;
}

export interface BegunMultipart {
  readonly uploadId: string;
  /** Only a repeated request was answered: an earlier one may have begun another upload that nobody knows. */
  readonly isDoubtful: boolean;
}

/** Begins a multipart upload. Whoever calls it has recorded the key first, so that the reaper finds what a crash left. */
export async function beginMultipart(
  bucket: S3Bucket,
  operation: string,
  key: string,
  signal: AbortSignal,
): Promise<BegunMultipart> {
  const { UploadId, $metadata } = await bucket.tell({ operation, key, signal }, (options) =>
    bucket.client.send(new CreateMultipartUploadCommand(bucket.at(key)), options),
  );
  if (UploadId === undefined) {
    throw new S3StorageError(operation, `${key}: the store began no multipart upload`, true);
  }
  return { uploadId: UploadId, isDoubtful: ($metadata.attempts ?? 1) > 1 };
}

/** Stores one part; undefined when the store does not know the upload (any more). */
export async function uploadPart(
  bucket: S3Bucket,
  operation: string,
  { key, uploadId }: MultipartTarget,
  part: { readonly number: number; readonly bytes: Buffer },
  signal: AbortSignal,
): Promise<StoredPart | undefined> {
  const { number, bytes } = part;
  const answer = await bucket.putPart({ operation, key, signal }, { uploadId, number }, bytes);
  if (answer === undefined) return undefined;
  if (answer.etag === undefined) {
    throw new S3StorageError(operation, `${key}: a part was stored without an ETag`, true);
  }
  return { n: number, etag: answer.etag, size: bytes.length };
}

/**
 * Makes the parts one object. Resolves only when the object is there with the size of its parts: an answer that does
 * not name it (a 200 that carries an error), or one that says the upload is unknown (an earlier try was applied and
 * its answer lost, or another replica was faster), is settled by looking.
 */
export async function completeMultipart(
  bucket: S3Bucket,
  operation: string,
  { key, uploadId }: MultipartTarget,
  parts: readonly StoredPart[],
  signal: AbortSignal,
): Promise<'completed' | 'gone'> {
  const command = new CompleteMultipartUploadCommand({
    ...bucket.at(key),
    UploadId: uploadId,
    MultipartUpload: { Parts: parts.map(({ n, etag }) => ({ PartNumber: n, ETag: etag })) },
  });
  const answer = await bucket.ask({ operation, key, signal, isHeavy: true }, (options) =>
    bucket.client.send(command, options),
  );
  if (answer?.ETag !== undefined) return 'completed';
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const found = await bucket.head(operation, key, signal);
  if (found?.size === size) return 'completed';
  if (answer === undefined) return 'gone';
  throw new S3StorageError(operation, `${key}: the multipart upload was not completed`, true);
}

/** Drops a multipart upload with its parts. Idempotent. */
export async function abortMultipart(
  bucket: S3Bucket,
  operation: string,
  { key, uploadId }: MultipartTarget,
  signal: AbortSignal,
): Promise<void> {
  const command = new AbortMultipartUploadCommand({ ...bucket.at(key), UploadId: uploadId });
  await bucket.ask({ operation, key, signal }, (options) => bucket.client.send(command, options));
}

/**
 * Drops every multipart upload of exactly this key that began before `before` (all, without it). MinIO lists uploads
 * for an exact key only, so this is how those are found that nobody recorded.
 */
export async function abortMultipartsOf(
  bucket: S3Bucket,
  operation: string,
  key: string,
  before: Date | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { Key } = bucket.at(key);
  const command = new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: Key });
  const { Uploads = [] } = await bucket.tell({ operation, key, signal }, (options) =>
    bucket.client.send(command, options),
  );
  for (const upload of Uploads) {
    const isOld = before === undefined || (upload.Initiated ?? new Date(0)) < before;
    if (upload.Key !== Key || upload.UploadId === undefined || !isOld) continue;
    await abortMultipart(bucket, operation, { key, uploadId: upload.UploadId }, signal);
  }
}
