import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { describe, expect, test } from '@jest/globals';

import { type Digest, digestOf } from '../oci/digest.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { RangeNotSatisfiableError, StorageError } from '../storage/errors.ts';
import { withSmallBlobsInMemory } from './small-blobs.ts';

const unending = new AbortController().signal;
const small = Buffer.from('a small document');
const large = Buffer.alloc(100_000, 'x');

/** A store that counts how often it is opened, and may hold other bytes than a digest says. */
function storeOf(contents: Map<Digest, Buffer>): { store: BlobStore; opened: () => number } {
  let opened = 0;
  const store: Partial<BlobStore> = {
    open: (digest) => {
      opened += 1;
      const bytes = contents.get(digest);
      return Promise.resolve(
        bytes && {
          totalBytes: bytes.length,
          offset: 0,
          length: bytes.length,
          stream: Readable.from([bytes], { objectMode: false }),
        },
      );
    },
    delete: (digest) => {
      contents.delete(digest);
      return Promise.resolve();
    },
  };
  return { store: store as BlobStore, opened: () => opened };
}

const holding = (...blobs: Buffer[]): ReturnType<typeof storeOf> =>
  storeOf(new Map(blobs.map((bytes) => [digestOf(bytes), bytes])));

describe('small blobs in memory', () => {
  test('a small blob is read from the store once, a large one each time', async () => {
    const { store, opened } = holding(small, large);
    const blobs = withSmallBlobsInMemory(store, 1_000_000);
    for (let round = 0; round < 3; round += 1) {
      const body = await blobs.open(digestOf(small), undefined, unending);
      expect(body?.bytes?.equals(small)).toBe(true);
      expect((await buffer(body!.stream)).equals(small)).toBe(true);
    }
    expect(opened()).toBe(1);
    for (let round = 0; round < 2; round += 1) {
      const body = await blobs.open(digestOf(large), undefined, unending);
      expect(body?.bytes).toBeUndefined();
      expect((await buffer(body!.stream)).length).toBe(large.length);
    }
    expect(opened()).toBe(3);
  });

  test('a range of a blob in memory is cut from it, and one beyond its end is refused', async () => {
    const blobs = withSmallBlobsInMemory(holding(small).store, 1_000_000);
    await blobs.open(digestOf(small), undefined, unending);
    const body = await blobs.open(digestOf(small), { kind: 'from', first: 2, last: 6 }, unending);
    expect(body).toMatchObject({ totalBytes: small.length, offset: 2, length: 5 });
    expect(body?.bytes?.toString()).toBe('small');
    await expect(
      blobs.open(digestOf(small), { kind: 'from', first: small.length }, unending),
    ).rejects.toBeInstanceOf(RangeNotSatisfiableError);
  });

  test('bytes that are not those of the digest are a fault of the store and are not kept', async () => {
    const contents = new Map([[digestOf(small), Buffer.from('rotten')]]);
    const { store } = storeOf(contents);
    const blobs = withSmallBlobsInMemory(store, 1_000_000);
    await expect(blobs.open(digestOf(small), undefined, unending)).rejects.toBeInstanceOf(
      StorageError,
    );
    contents.set(digestOf(small), small);
    const repaired = await blobs.open(digestOf(small), undefined, unending);
    expect(repaired?.bytes?.equals(small)).toBe(true);
  });

  test('a deleted blob is forgotten, and an absent one is asked for each time', async () => {
    const { store, opened } = holding(small);
    const blobs = withSmallBlobsInMemory(store, 1_000_000);
    await blobs.open(digestOf(small), undefined, unending);
    await blobs.delete(digestOf(small), unending);
    expect(await blobs.open(digestOf(small), undefined, unending)).toBeUndefined();
    expect(await blobs.open(digestOf(small), undefined, unending)).toBeUndefined();
    expect(opened()).toBe(3);
  });

  test('memory stays within its bound', async () => {
    const blobsOfOneKilobyte = Array.from({ length: 50 }, (_, at) => Buffer.alloc(1_000, at + 1));
    const { store, opened } = holding(...blobsOfOneKilobyte);
    const blobs = withSmallBlobsInMemory(store, 20_000);
    for (const bytes of blobsOfOneKilobyte) await blobs.open(digestOf(bytes), undefined, unending);
    for (const bytes of blobsOfOneKilobyte) await blobs.open(digestOf(bytes), undefined, unending);
    expect(opened()).toBe(100);
  });
});
