import { CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';

import type { Trial } from '../store-findings.ts';
import { copySource } from './copy-objects.ts';
import {
  abortMultipart,
  abortMultipartsOf,
  beginMultipart,
  completeMultipart,
  type MultipartTarget,
  uploadPart,
} from './multipart-upload.ts';
import type { ProbeObjects } from './probe-objects.ts';
import { cleanupSignal } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';

const OPERATION = 'store.probe';

export const LISTED = 'multipart/listed';
const COPIED = 'parts/to';
const SMALL = 'multipart/small';
/** Where a probe that was killed may have left a multipart upload. */
export const PROBE_UPLOADS = [LISTED, COPIED, SMALL];

/** What the bucket can move by itself. */
export function copyTrials(objects: ProbeObjects): Trial[] {
  const { bucket } = objects;
  return [
    {
      trait: 'copies',
      run: async () => {
        await objects.put('copy/from', 'copied');
        const CopySource = copySource(bucket, `${objects.folder}/copy/from`);
        const call = objects.change('copy/to');
        const command = new CopyObjectCommand({ ...bucket.at(call.key), CopySource });
        await bucket.tell(call, (options) => bucket.client.send(command, options));
        return (await objects.get('copy/to')) === 'copied';
      },
    },
    {
      trait: 'copies-in-parts',
      run: async () => {
        await objects.put('parts/from', '0123456789');
        const CopySource = copySource(bucket, `${objects.folder}/parts/from`);
        return await withMultipart(objects, COPIED, async ({ key, uploadId }) => {
          const command = new UploadPartCopyCommand({
            ...bucket.at(key),
            UploadId: uploadId,
            PartNumber: 1,
            CopySource,
            CopySourceRange: 'bytes=2-4',
          });
          const answer = await bucket.tell(objects.change(COPIED), (options) =>
            bucket.client.send(command, options),
          );
          const etag = answer.CopyPartResult?.ETag;
          if (etag === undefined) return false;
          const parts = [{ n: 1, etag, size: 3 }];
          const { signal } = objects.change(COPIED);
          await completeMultipart(bucket, OPERATION, { key, uploadId }, parts, signal);
          return (await objects.get(COPIED)) === '234';
        });
      },
    },
    {
      trait: 'small-parts-are-refused',
      run: () =>
        withMultipart(objects, SMALL, async (target) => {
          const parts = [];
          for (const number of [1, 2]) {
            const part = { number, bytes: Buffer.from('x') };
            const { signal } = objects.change(SMALL);
            parts.push(await uploadPart(bucket, OPERATION, target, part, signal));
          }
          const stored = parts.filter((part) => part !== undefined);
          const { signal } = objects.change(SMALL);
          try {
            await completeMultipart(bucket, OPERATION, target, stored, signal);
            return false;
          } catch (error) {
            if (error instanceof S3StorageError && !error.retryable) return true;
            throw error;
          }
        }),
    },
  ];
}

/** Begins a multipart upload for the work and leaves none behind. */
export async function withMultipart(
  objects: ProbeObjects,
  name: string,
  work: (target: MultipartTarget) => Promise<boolean>,
): Promise<boolean> {
  const { bucket } = objects;
  const { key, signal } = objects.change(name);
  let isKnown = false;
  try {
    const { uploadId, isDoubtful } = await beginMultipart(bucket, OPERATION, key, signal);
    const target = { key, uploadId };
    try {
      isKnown = !isDoubtful;
      return await work(target);
    } finally {
      await quietly(abortMultipart(bucket, OPERATION, target, cleanupSignal()));
    }
  } finally {
    // The store may have begun one although its answer was lost.
    if (!isKnown) {
      await quietly(abortMultipartsOf(bucket, OPERATION, key, undefined, cleanupSignal()));
    }
  }
}

/** What cannot be removed now is removed by a later start. */
const quietly = (work: Promise<void>): Promise<void> => work.catch(() => undefined);
