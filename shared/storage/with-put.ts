import type { BlobStore } from './blob-store.ts';

/** The store with another way in: everything else goes to it unchanged. */
export const withPut = (store: BlobStore, put: BlobStore['put']): BlobStore => ({
  stat: (digest, signal) => store.stat(digest, signal),
  open: (digest, range, signal) => store.open(digest, range, signal),
  read: (digest, maxBytes, signal) => store.read(digest, maxBytes, signal),
  delete: (digest, signal) => store.delete(digest, signal),
  put,
});
