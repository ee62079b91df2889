import type { BlobStore } from '../../../shared/storage/blob-store.ts';
import { withPut } from '../../../shared/storage/with-put.ts';

/** A store that takes nothing. */
export const withoutPut = (blobs: BlobStore): BlobStore =>
  withPut(blobs, () => Promise.reject(new Error('the disk is full')));
