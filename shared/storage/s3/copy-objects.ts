import { CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';

import type { MultipartOwners } from './multipart-owners.ts';
import {
  completeMultipart,
  type MultipartTarget,
  type StoredPart,
  uploadPart,
} from './multipart-upload.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';

const OPERATION = 'blob.copy';
const MAX_PARTS = 10_000;
/** What one UploadPartCopy moves in the rule, so that each answers within its deadline. */
const COPY_PART_BYTES = 256 * 1024 * 1024;
const CONCURRENT_COPIES = 4;

/** Objects of the bucket in turn, each of at least 5 MiB when there is more, and what follows them. */
export interface CopySources {
  readonly objects: readonly { readonly key: string; readonly size: number }[];
  readonly rest: Buffer;
}

interface ObjectCopy extends CopySources {
  readonly to: string;
}

interface CopyRange {
  readonly from: string;
  readonly first: number;
  readonly last: number;
}

/** How many bytes there are together. */
export function sizeOf({ objects, rest }: CopySources): number {
  return objects.reduce((sum, { size }) => sum + size, rest.length);
}

/**
 * Makes objects of the bucket one object; the target appears whole or not at all. By parts where there are several or
 * more than `multipartCopyBytes`, as one CopyObject may take at most 5 GiB. Resolves to false when a source is not there.
 */
export async function copyObjects(
  bucket: S3Bucket,
  owners: MultipartOwners,
  copy: ObjectCopy,
  signal: AbortSignal,
): Promise<boolean> {
  const [only, ...others] = copy.objects;
  const isSingle = only !== undefined && others.length === 0 && copy.rest.length === 0;
  if (!isSingle || only.size > bucket.config.multipartCopyBytes) {
    return await copyByParts(bucket, owners, copy, signal);
  }
  const command = new CopyObjectCommand({
    ...bucket.at(copy.to),
    CopySource: copySource(bucket, only.key),
  });
  const call = { operation: OPERATION, key: copy.to, signal, isHeavy: true };
  const answer = await bucket.ask(call, (options) => bucket.client.send(command, options));
  if (answer !== undefined && answer.CopyObjectResult?.ETag === undefined) {
    throw notCopied(copy.to);
  }
  return answer !== undefined;
}

async function copyByParts(
  bucket: S3Bucket,
  owners: MultipartOwners,
  copy: ObjectCopy,
  signal: AbortSignal,
): Promise<boolean> {
  const owned = await owners.begin(OPERATION, copy.to, signal);
  try {
    const ranges = rangesOf(copy, bucket.config.multipartCopyBytes);
    const parts = await copyRanges(bucket, owned, ranges, signal);
    if (parts === undefined) {
      await owned.abort();
      return false;
    }
    if (copy.rest.length > 0) {
      const last = { number: parts.length + 1, bytes: copy.rest };
      const stored = await uploadPart(bucket, OPERATION, owned, last, signal);
      if (stored === undefined) throw notCopied(copy.to);
      parts.push(stored);
    }
    if ((await completeMultipart(bucket, OPERATION, owned, parts, signal)) === 'gone') {
      throw notCopied(copy.to);
    }
  } catch (error) {
    await owned.abort();
    throw error;
  }
  await owned.release();
  return true;
}

/** Cuts each object evenly, so that no part but the last is smaller than S3 allows. */
function rangesOf(copy: ObjectCopy, multipartCopyBytes: number): CopyRange[] {
  const fewEnough = Math.ceil(sizeOf(copy) / (MAX_PARTS / 2));
  const wanted = Math.max(Math.min(multipartCopyBytes, COPY_PART_BYTES), fewEnough);
  return copy.objects.flatMap(({ key, size }) => {
    const count = Math.max(1, Math.floor(size / wanted));
    const length = Math.floor(size / count);
    return Array.from({ length: count }, (_, i) => ({
      from: key,
      first: length * i,
      last: (i + 1 === count ? size : length * (i + 1)) - 1,
    }));
  });
}

/** Undefined when a source is not there. Nothing is in flight any more when it ends. */
async function copyRanges(
  bucket: S3Bucket,
  target: MultipartTarget,
  ranges: readonly CopyRange[],
  signal: AbortSignal,
): Promise<StoredPart[] | undefined> {
  const limit = pLimit({ concurrency: CONCURRENT_COPIES, rejectOnClear: true });
  const copyRange = async (n: number, range: CopyRange): Promise<StoredPart | undefined> => {
    const { from, first, last } = range;
    const command = new UploadPartCopyCommand({
      ...bucket.at(target.key),
      UploadId: target.uploadId,
      PartNumber: n,
      CopySource: copySource(bucket, from),
      CopySourceRange: `bytes=${first}-${last}`,
    });
    const call = { operation: OPERATION, key: target.key, signal, isHeavy: true };
    const answer = await bucket.ask(call, (options) => bucket.client.send(command, options));
    if (answer === undefined) return undefined;
    const etag = answer.CopyPartResult?.ETag;
    if (etag === undefined) throw notCopied(target.key);
    return { n, etag, size: last - first + 1 };
  };
  const results = await Promise.allSettled(
    ranges.map((range, i) =>
      limit(async () => {
        try {
          return await copyRange(i + 1, range);
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
function notCopied(key: string): S3StorageError {
  return new S3StorageError(OPERATION, `${key}: the object was not copied`, true);
}
