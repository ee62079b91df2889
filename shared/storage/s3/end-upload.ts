import type { Digest } from '../../oci/digest.ts';
import { uploadFolder, uploadStartedAtKey } from '../object-keys.ts';
import { abortMultipart, abortMultipartsOf } from './multipart-upload.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { deleteAll, deleteTree } from './s3-listing.ts';
import {
  newAttempt,
  type OpenUpload,
  UnreadableUploadError,
  type UploadSegment,
} from './upload-record.ts';
import { keptRecordKeys, loadUpload, saveUpload, type UploadCall } from './upload-state.ts';

/** How often a finished session looks for its place when requests go on with it all the same. */
const FINISH_ATTEMPTS = 5;

/** Removes a session with all it staged. `startedat` goes first: from then on nobody finds it. Idempotent. */
export async function discardUpload(bucket: S3Bucket, call: UploadCall): Promise<void> {
  const { operation, repository, id, signal } = call;
  const segments = await segmentsOf(bucket, call);
  await bucket.delete(operation, uploadStartedAtKey(repository, id), signal);
  await abortSegments(bucket, call, segments);
  await deleteTree(bucket, operation, uploadFolder(repository, id), signal);
}

/**
 * Ends a session whose blob is published: its newest record names the digest from now on, and nothing else stays. A
 * fault changes nothing for the client, whose blob is there: the reaper removes what is left.
 */
export async function finishUpload(
  bucket: S3Bucket,
  call: UploadCall,
  { state, generation }: { readonly state: OpenUpload; readonly generation: number },
  digest: Digest,
): Promise<void> {
  const { operation, repository, id, signal } = call;
  try {
    const end = await recordEnd(bucket, call, generation, digest);
    if (end === undefined) return;
    // What broken requests left besides is found by the reaper, along with the last record.
    const keys = [
      uploadStartedAtKey(repository, id),
      ...keptRecordKeys(call, end),
      ...state.tail.pieces.map(({ key }) => key),
      ...state.segments.map(({ key }) => key),
    ];
    await deleteAll(bucket, operation, keys, signal);
    for (const { key, uploadId, mayHaveTwin = false } of state.segments) {
      if (uploadId !== undefined && !mayHaveTwin) continue;
      await abortMultipartsOf(bucket, operation, key, undefined, signal);
    }
  } catch {
    // See above.
  }
}

/** The generation of the record that names the digest; undefined when another ended the session. */
async function recordEnd(
  bucket: S3Bucket,
  call: UploadCall,
  generation: number,
  digest: Digest,
): Promise<number | undefined> {
  const attempt = newAttempt();
  let last = generation;
  for (let look = 0; look < FINISH_ATTEMPTS; look += 1) {
    const state = { schemaVersion: 1, kind: 'committed', attempt, digest } as const;
    if (await saveUpload(bucket, call, last + 1, state)) return last + 1;
    const found = await loadUpload(bucket, call);
    if (found.state?.kind !== 'open') return undefined;
    last = found.generation;
  }
  return undefined;
}

async function abortSegments(
  bucket: S3Bucket,
  { operation, signal }: UploadCall,
  segments: readonly UploadSegment[],
): Promise<void> {
  for (const { key, uploadId } of segments) {
    if (uploadId !== undefined) await abortMultipart(bucket, operation, { key, uploadId }, signal);
    await abortMultipartsOf(bucket, operation, key, undefined, signal);
  }
}

async function segmentsOf(bucket: S3Bucket, call: UploadCall): Promise<readonly UploadSegment[]> {
  try {
    const { state } = await loadUpload(bucket, call);
    return state?.kind === 'open' ? state.segments : [];
  } catch (error) {
    if (error instanceof UnreadableUploadError) return [];
    throw error;
  }
}
