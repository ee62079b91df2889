import type { Digest } from '../oci/digest.ts';

/** Addresses under which clients fetch blobs from the store itself. A store that has none is `undefined`. */
export interface BlobLinks {
  /**
   * A URL that gives the blob to whoever holds it, by GET alone and for a short time. It is made without asking the
   * store: whether the blob is there, and who may read it, is decided before.
   */
  sign(digest: Digest): Promise<string>;
}
