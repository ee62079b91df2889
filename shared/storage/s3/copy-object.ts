import { CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';

import type { MultipartOwners } from './multipart-owners.ts';
import { completeMultipart, type MultipartTarget, type StoredPart } from './multipart-upload.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';

const MAX_PARTS = 10_000;
/** What one UploadPartCopy moves at most, so that each answers within its deadline. */
const MAX_COPY_PART_BYTES = 256 * 1024 * 1024;
const CONCURRENT_COPIES = 4;

export interface ObjectCopy {
  readonly from: string;
  readonly to: string;
  /** Size of the source in bytes. */
  readonly size: number;
}

/**
 * Copies an object inside the bucket; the target appears whole or not at all. Above `multipartCopyBytes` by parts, as
 * one CopyObject may take at most 5 GiB. Resolves to false when the source is not there.
 */
export async function copyObject(
  bucket: S3Bucket,
  owners: MultipartOwners,
  operation: string,
  copy: ObjectCopy,
  signal: AbortSignal,
): Promise<boolean> {
  if (copy.size > bucket.config.multipartCopyBytes) {
    return await copyByParts(bucket, owners, operation, copy, signal);
  }
  const command = new CopyObjectCommand({
    ...bucket.at(copy.to),
    CopySource: copySource(bucket, copy.from),
  });
  const answer = await bucket.ask({ operation, key: copy.to, signal, isHeavy: true }, (options) =>
    bucket.client.send(command, options),
  );
  if (answer !== undefined && answer.CopyObjectResult?.ETag === undefined) {
    throw notCopied(operation, copy.to);
  }
  return answer !== undefined;
}

async function copyByParts(
  bucket: S3Bucket,
  owners: MultipartOwners,
  operation: string,
  copy: ObjectCopy,
  signal: AbortSignal,
): Promise<boolean> {
  const owned = await owners.begin(operation, copy.to, signal);
  try {
    const parts = await copyParts(bucket, operation, owned, copy, signal);
    if (parts === undefined) {
      await owned.abort();
      return false;
    }
    if ((await completeMultipart(bucket, operation, owned, parts, signal)) === 'gone') {
      throw notCopied(operation, copy.to);
    }
  } catch (error) {
    await owned.abort();
    throw error;
  }
  await owned.release();
  return true;
}

/** Undefined when the source is not there. Nothing is in flight any more when it ends. */
async function copyParts(
  bucket: S3Bucket,
  operation: string,
  target: MultipartTarget,
  { from, to, size }: ObjectCopy,
  signal: AbortSignal,
): Promise<StoredPart[] | undefined> {
  const wanted = Math.min(bucket.config.multipartCopyBytes, MAX_COPY_PART_BYTES);
  const partBytes = Math.max(wanted, Math.ceil(size / MAX_PARTS));
  const limit = pLimit({ concurrency: CONCURRENT_COPIES, rejectOnClear: true });
  const copyPart = async (n: number): Promise<StoredPart | undefined> => {
    const first = (n - 1) * partBytes;
    const last = Math.min(first + partBytes, size) - 1;
    const command = new UploadPartCopyCommand({
      ...bucket.at(to),
      UploadId: target.uploadId,
      PartNumber: n,
      CopySource: copySource(bucket, from),
      CopySourceRange: `bytes=${first}-${last}`,
    });
    const answer = await bucket.ask({ operation, key: to, signal, isHeavy: true }, (options) =>
      bucket.client.send(command, options),
    );
    if (answer === undefined) return undefined;
    const etag = answer.CopyPartResult?.ETag;
    if (etag === undefined) throw notCopied(operation, to);
    return { n, etag, size: last - first + 1 };
  };
  const numbers = Array.from({ length: Math.ceil(size / partBytes) }, (_, i) => i + 1);
  const results = await Promise.allSettled(
    numbers.map((n) =>
      limit(async () => {
        try {
          return await copyPart(n);
        } catch (error) {
          limit.clearQueue();
          throw error;
        }
      }),
    ),
  );
  const parts: StoredPart[] = [];
  for (const result of results) {
    if (result.status === 'rejected') throw result.reason;
    if (result.value === undefined) return undefined;
    parts.push(result.value);
  }
  return parts;
}

/** The `CopySource` of a key of the store. */
export function copySource(bucket: S3Bucket, key: string): string {
  const { Bucket, Key } = bucket.at(key);
  return `${Bucket}/${Key}`.split('/').map(encodeURIComponent).join('/');
}

/** Also the meaning of a 200 whose body is an error that the SDK did not see as one. */
function notCopied(operation: string, key: string): S3StorageError {
  return new S3StorageError(operation, `${key}: the object was not copied`, true);
}
