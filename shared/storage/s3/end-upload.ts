import type { Digest } from '../../oci/digest.ts';
import { uploadDataKey, uploadFolder, uploadStartedAtKey } from '../object-keys.ts';
import { abortMultipart, abortMultipartsOf } from './multipart-upload.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { deleteAll, deleteTree } from './s3-listing.ts';
import {
  loadUpload,
  type OpenUpload,
  saveUpload,
  UnreadableUploadError,
  type UploadCall,
} from './upload-state.ts';

/** Removes a session with all it staged. `startedat` goes first: from then on nobody finds it. Idempotent. */
export async function discardUpload(bucket: S3Bucket, call: UploadCall): Promise<void> {
  const { operation, repository, id, signal } = call;
  const key = uploadDataKey(repository, id);
  const multipart = await multipartOf(bucket, call);
  await bucket.delete(operation, uploadStartedAtKey(repository, id), signal);
  if (multipart !== undefined) {
    const { uploadId } = multipart;
    if (uploadId !== undefined) await abortMultipart(bucket, operation, { key, uploadId }, signal);
    await abortMultipartsOf(bucket, operation, key, undefined, signal);
  }
  await deleteTree(bucket, operation, uploadFolder(repository, id), signal);
}

/**
 * Ends a session whose blob is published: its record names the digest from now on and nothing else stays. A fault
 * changes nothing for the client, whose blob is there: the reaper removes what is left.
 */
export async function finishUpload(
  bucket: S3Bucket,
  call: UploadCall,
  state: OpenUpload,
  digest: Digest,
): Promise<void> {
  const { operation, repository, id, signal } = call;
  try {
    await saveUpload(bucket, call, { schemaVersion: 1, kind: 'committed', digest });
    const pieces = state.tail.pieces.map(({ key }) => key);
    const data = state.parts.length > 0 ? [state.key] : [];
    const keys = [uploadStartedAtKey(repository, id), ...pieces, ...data];
    await deleteAll(bucket, operation, keys, signal);
    if (state.multipart !== undefined) {
      await abortMultipartsOf(bucket, operation, state.key, undefined, signal);
    }
  } catch {
    // See above.
  }
}

/** A record that cannot be read may name an upload. */
async function multipartOf(
  bucket: S3Bucket,
  call: UploadCall,
): Promise<{ readonly uploadId?: string | undefined } | undefined> {
  try {
    const { state } = await loadUpload(bucket, call);
    return state?.kind === 'open' ? state.multipart : undefined;
  } catch (error) {
    if (error instanceof UnreadableUploadError) return {};
    throw error;
  }
}
