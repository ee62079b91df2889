import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { LRUCache } from 'lru-cache';

import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts';
import { type RangeRequest, resolveRange } from '../oci/range.ts';
import type { BlobBody, BlobStore } from '../storage/blob-store.ts';
import { RangeNotSatisfiableError, StorageError } from '../storage/errors.ts';

/** Image configurations and other documents; layers are larger and each client has them soon. */
const MAX_BLOB_BYTES = 64 * 1024;
/** What an entry takes beside its bytes. */
const ENTRY_BYTES = 512;

/**
 * The store with its small blobs kept in memory once they were read: they never change under their digest, which is
 * checked. Whether a blob may be read, and whether it is there, is asked elsewhere as before: only reading is shorter.
 */
export function withSmallBlobsInMemory(store: BlobStore, maxBytes: number): BlobStore {
  if (maxBytes === 0) return store;
  const kept = new LRUCache<Digest, Buffer>({
    maxSize: Math.ceil(maxBytes),
    sizeCalculation: (bytes) => bytes.length + ENTRY_BYTES,
  });
  return {
    stat: (digest, signal) => store.stat(digest, signal),
    read: (digest, maxBytes, signal) => store.read(digest, maxBytes, signal),
    put: (digest, body, size, signal) => store.put(digest, body, size, signal),
    delete: async (digest, signal) => {
      kept.delete(digest);
      await store.delete(digest, signal);
      kept.delete(digest);
    },
    open: async (digest, range, signal) => {
      signal.throwIfAborted();
      const known = kept.get(digest);
      if (known) return bodyOf(known, range);
      const body = await store.open(digest, range, signal);
      // A part cannot be checked, and whoever asks for parts has the rest.
      if (!body || range || body.totalBytes > MAX_BLOB_BYTES) return body;
      const bytes = await buffer(body.stream);
      if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
        throw new StorageError('blob.read', `the stored bytes of ${digest} are damaged`);
      }
      kept.set(digest, bytes);
      return bodyOf(bytes, undefined);
    },
  };
}

function bodyOf(whole: Buffer, range: RangeRequest | undefined): BlobBody {
  const totalBytes = whole.length;
  const part = range ? resolveRange(range, totalBytes) : { offset: 0, length: totalBytes };
  if (!part) throw new RangeNotSatisfiableError(totalBytes);
  const bytes = whole.subarray(part.offset, part.offset + part.length);
  return {
    totalBytes,
    ...part,
    bytes,
    // Made only for those who cannot take the bytes.
    get stream() {
      return Readable.from(bytes.length > 0 ? [bytes] : [], { objectMode: false });
    },
  };
}
