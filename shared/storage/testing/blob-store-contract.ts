import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { digestOf, type Digest } from '../../oci/digest.ts';
import type { RangeRequest } from '../../oci/range.ts';
import type { BlobStore } from '../blob-store.ts';
import { DigestMismatchError, RangeNotSatisfiableError, SizeMismatchError } from '../errors.ts';
import { blobKey } from '../object-keys.ts';
import type { RecordStore } from '../record-store.ts';
import {
  brokenStreamOf,
  endlessStream,
  hangingStreamOf,
  patternBytes,
  readAll,
  streamOf,
  unending,
} from './contract-support.ts';

export interface BlobStoreBench {
  readonly store: BlobStore;
  /** Another instance over the same data, as another replica has it. */
  readonly replica: BlobStore;
  /** The records of the same data: the suite damages blobs with it. */
  readonly records: RecordStore;
  /** What unfinished work left in the store: temporary files, multipart uploads, staged objects. */
  leftovers(): Promise<string[]>;
  cleanUp(): Promise<void>;
}

/** `partBytes`: the size at which the store changes its way of writing (an S3 part); sizes around it are tried. */
export interface ContractSizes {
  readonly partBytes: number;
}

/** What every BlobStore must do. */
export function describeBlobStore(
  name: string,
  make: () => Promise<BlobStoreBench>,
  { partBytes }: ContractSizes,
): void {
  describe(`${name} as a BlobStore`, () => {
    let bench: BlobStoreBench;
    let store: BlobStore;
    let seed = 1000;
    beforeAll(async () => {
      bench = await make();
      store = bench.store;
    });
    afterAll(async () => {
      await bench.cleanUp();
    });
    /** Content that no other test stores. */
    const fresh = (length: number): { bytes: Buffer; digest: Digest } => {
      const bytes = patternBytes(length, (seed += 1));
      return { bytes, digest: digestOf(bytes) };
    };
    const read = async (digest: Digest, range?: RangeRequest): Promise<Buffer | undefined> => {
      const body = await bench.replica.open(digest, range, unending);
      return body && readAll(body.stream);
    };
    const expectNothing = async (digest: Digest): Promise<void> => {
      expect(await store.stat(digest, unending)).toBeUndefined();
      expect(await bench.replica.open(digest, undefined, unending)).toBeUndefined();
      expect(await bench.records.get(blobKey(digest), unending)).toBeUndefined();
      expect(await bench.leftovers()).toEqual([]);
    };

    describe.each([
      ['1 byte', 1],
      ['64 KiB', 65_536],
      ['64 KiB + 1', 65_537],
      ['part - 1', partBytes - 1],
      ['part', partBytes],
      ['part + 1', partBytes + 1],
      ['3 parts + 1', 3 * partBytes + 1],
    ])('given %s', (_label, length) => {
      test('stores a verified file, and leaves it where it is', async () => {
        const { bytes, digest } = fresh(length);
        const folder = await mkdtemp(join(tmpdir(), 'twinport-verified-'));
        const path = join(folder, 'file');
        await writeFile(path, bytes);
        try {
          const stored = await store.put(digest, { path, size: length }, undefined, unending);
          expect(stored.size).toBe(length);
          expect((await read(digest))?.equals(bytes)).toBe(true);
          expect((await readFile(path)).equals(bytes)).toBe(true);
          const other = fresh(length);
          const short = { path, size: length + 1 };
          await expect(store.put(other.digest, short, undefined, unending)).rejects.toThrow(
            'were verified',
          );
          await expectNothing(other.digest);
        } finally {
          await rm(folder, { recursive: true });
        }
      });

      test.each([
        ['a buffer of announced size', true, true],
        ['a buffer', true, false],
        ['a stream of announced size', false, true],
        ['a stream of unknown size', false, false],
      ])('stores %s and gives it back', async (_kind, isBuffer, isAnnounced) => {
        const { bytes, digest } = fresh(length);
        const body = isBuffer ? bytes : streamOf(bytes);
        const size = isAnnounced ? length : undefined;
        expect(await store.put(digest, body, size, unending)).toEqual({ size: length });
        expect(await bench.replica.stat(digest, unending)).toMatchObject({ size: length });
        const opened = await bench.replica.open(digest, undefined, unending);
        expect(opened).toMatchObject({ totalBytes: length, offset: 0, length });
        expect((await readAll(opened!.stream)).equals(bytes)).toBe(true);
        expect(await bench.leftovers()).toEqual([]);
      });

      test.each([
        ['a buffer of announced size', true, true],
        ['a buffer', true, false],
        ['a stream of announced size', false, true],
        ['a stream of unknown size', false, false],
      ])('keeps nothing of %s with another digest', async (_kind, isBuffer, isAnnounced) => {
        const { bytes } = fresh(length);
        const { digest } = fresh(length);
        const body = isBuffer ? bytes : streamOf(bytes);
        const size = isAnnounced ? length : undefined;
        await expect(store.put(digest, body, size, unending)).rejects.toThrow(DigestMismatchError);
        await expectNothing(digest);
        await expectNothing(digestOf(bytes));
      });

      test.each([
        ['a buffer that is longer', true, -1],
        ['a buffer that is shorter', true, 1],
        ['a stream that is longer', false, -1],
        ['a stream that is shorter', false, 1],
      ])('keeps nothing of %s than announced', async (_kind, isBuffer, difference) => {
        const { bytes, digest } = fresh(length);
        const body = isBuffer ? bytes : streamOf(bytes);
        await expect(store.put(digest, body, length + difference, unending)).rejects.toThrow(
          SizeMismatchError,
        );
        await expectNothing(digest);
      });

      test('keeps nothing of a stream that breaks, and throws its error', async () => {
        const { bytes, digest } = fresh(length);
        const broken = brokenStreamOf(bytes, new Error('the client went away'));
        await expect(store.put(digest, broken, undefined, unending)).rejects.toThrow(
          'the client went away',
        );
        await expectNothing(digest);
      });

      test('keeps nothing of a stream whose operation is aborted midway', async () => {
        const { bytes, digest } = fresh(length);
        const controller = new AbortController();
        const body = hangingStreamOf(bytes, () => {
          controller.abort();
        });
        await expect(store.put(digest, body, undefined, controller.signal)).rejects.toBeDefined();
        expect(body.destroyed).toBe(true);
        await expectNothing(digest);
      });

      test('stores sha512 content', async () => {
        const { bytes } = fresh(length);
        const digest = digestOf(bytes, 'sha512');
        await store.put(digest, streamOf(bytes), length, unending);
        expect((await read(digest))?.equals(bytes)).toBe(true);
        expect(await store.stat(digestOf(bytes), unending)).toBeUndefined();
      });

      test('repairs a damaged blob when it is stored again', async () => {
        const { bytes, digest } = fresh(length);
        for (const isBuffer of [true, false]) {
          for (const damaged of [Buffer.alloc(length, 0), bytes.subarray(1)]) {
            await bench.records.put(blobKey(digest), damaged, unending);
            const before = await store.stat(digest, unending);
            await store.put(digest, isBuffer ? bytes : streamOf(bytes), length, unending);
            expect((await read(digest))?.equals(bytes)).toBe(true);
            const after = await store.stat(digest, unending);
            expect(after?.version).not.toBe(before?.version);
            const opened = await store.open(digest, undefined, unending);
            expect(opened?.version).toBe(after?.version);
            opened?.stream.destroy();
          }
        }
      });
    });

    test('stores the empty blob, of a buffer and of a stream', async () => {
      const empty = Buffer.alloc(0);
      const digest = digestOf(empty);
      for (const body of [empty, streamOf(empty)]) {
        for (const size of [undefined, 0]) {
          await store.delete(digest, unending);
          const given = Buffer.isBuffer(body) ? body : streamOf(empty);
          expect(await store.put(digest, given, size, unending)).toEqual({ size: 0 });
          const opened = await bench.replica.open(digest, undefined, unending);
          expect(opened).toMatchObject({ totalBytes: 0, offset: 0, length: 0 });
          expect((await readAll(opened!.stream)).length).toBe(0);
        }
      }
      await expect(store.open(digest, { kind: 'from', first: 0 }, unending)).rejects.toThrow(
        RangeNotSatisfiableError,
      );
    });

    test('says of a missing blob that it is absent', async () => {
      const { digest } = fresh(10);
      await expectNothing(digest);
      expect(
        await store.open(digest, { kind: 'from', first: 99, last: 100 }, unending),
      ).toBeUndefined();
    });

    test('ends an endless body as soon as it is longer than announced', async () => {
      const { digest } = fresh(10);
      const body = endlessStream();
      await expect(store.put(digest, body, partBytes + 5, unending)).rejects.toThrow(
        SizeMismatchError,
      );
      expect(body.destroyed).toBe(true);
      await expectNothing(digest);
    });

    test('takes a body of very many tiny chunks', async () => {
      const { bytes, digest } = fresh(20_000);
      await store.put(digest, streamOf(bytes, 7), undefined, unending);
      expect((await read(digest))?.equals(bytes)).toBe(true);
    });

    test.each<[string, RangeRequest, number, number]>([
      ['the first byte', { kind: 'from', first: 0, last: 0 }, 0, 1],
      ['a middle', { kind: 'from', first: 100, last: 299 }, 100, 200],
      ['the rest from an offset', { kind: 'from', first: 900 }, 900, 101],
      ['the last byte', { kind: 'from', first: 1000, last: 1000 }, 1000, 1],
      ['an end beyond the blob, clamped', { kind: 'from', first: 990, last: 5_000_000 }, 990, 11],
      ['all of it', { kind: 'from', first: 0 }, 0, 1001],
      ['a suffix', { kind: 'suffix', length: 10 }, 991, 10],
      ['a suffix longer than the blob, clamped', { kind: 'suffix', length: 4000 }, 0, 1001],
    ])('opens a range: %s', async (_label, range, offset, length) => {
      const bytes = patternBytes(1001, 5);
      const digest = digestOf(bytes);
      await store.put(digest, bytes, undefined, unending);
      const opened = await bench.replica.open(digest, range, unending);
      expect(opened).toMatchObject({ totalBytes: 1001, offset, length });
      const expected = bytes.subarray(offset, offset + length);
      expect((await readAll(opened!.stream)).equals(expected)).toBe(true);
    });

    test.each<[string, RangeRequest]>([
      ['from the very end', { kind: 'from', first: 1001 }],
      ['far beyond the end', { kind: 'from', first: 9_000_000, last: 9_000_001 }],
      ['an empty suffix', { kind: 'suffix', length: 0 }],
    ])('refuses a range without a byte, with the true size: %s', async (_label, range) => {
      const bytes = patternBytes(1001, 5);
      const digest = digestOf(bytes);
      await store.put(digest, bytes, undefined, unending);
      const error: unknown = await store.open(digest, range, unending).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(RangeNotSatisfiableError);
      expect((error as RangeNotSatisfiableError).totalBytes).toBe(1001);
    });

    test('opens a range that crosses parts of a large blob', async () => {
      const { bytes, digest } = fresh(3 * partBytes + 1);
      await store.put(digest, streamOf(bytes), undefined, unending);
      const range: RangeRequest = { kind: 'from', first: partBytes - 3, last: 2 * partBytes + 3 };
      const expected = bytes.subarray(partBytes - 3, 2 * partBytes + 4);
      expect((await read(digest, range))?.equals(expected)).toBe(true);
    });

    test('destroys an open stream with an error when its signal aborts', async () => {
      const { bytes, digest } = fresh(3 * partBytes + 1);
      await store.put(digest, bytes, undefined, unending);
      const controller = new AbortController();
      const opened = await store.open(digest, undefined, controller.signal);
      controller.abort();
      await expect(readAll(opened!.stream)).rejects.toBeDefined();
      expect(opened!.stream.destroyed).toBe(true);
    });

    test('an abort before anybody reads an open stream reaches the reader and nobody else', async () => {
      const { bytes, digest } = fresh(3 * partBytes + 1);
      await store.put(digest, bytes, undefined, unending);
      const controller = new AbortController();
      const opened = await store.open(digest, undefined, controller.signal);
      controller.abort();
      // An error event without a listener would end the process.
      await new Promise((resolve) => setImmediate(resolve));
      await expect(readAll(opened!.stream)).rejects.toBeDefined();
    });

    test('lets go of a stream that is not read to its end', async () => {
      const { bytes, digest } = fresh(3 * partBytes + 1);
      await store.put(digest, bytes, undefined, unending);
      for (let round = 0; round < 20; round += 1) {
        const opened = await store.open(digest, undefined, unending);
        if (round % 2 === 0) await opened!.stream[Symbol.asyncIterator]().next();
        opened!.stream.destroy();
      }
      expect((await read(digest))?.equals(bytes)).toBe(true);
    });

    test('takes the same digest from many at once', async () => {
      const { bytes, digest } = fresh(partBytes + 1);
      const stats = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          (i % 2 === 0 ? store : bench.replica).put(
            digest,
            i % 3 === 0 ? bytes : streamOf(bytes),
            undefined,
            unending,
          ),
        ),
      );
      expect(stats).toEqual(stats.map(() => ({ size: bytes.length })));
      expect((await read(digest))?.equals(bytes)).toBe(true);
      expect(await bench.leftovers()).toEqual([]);
    });

    test('is not disturbed by a wrong body for a digest that it holds', async () => {
      const { bytes, digest } = fresh(2000);
      await store.put(digest, bytes, undefined, unending);
      for (const wrong of [patternBytes(2000, 3), streamOf(patternBytes(2000, 3))]) {
        await expect(store.put(digest, wrong, undefined, unending)).rejects.toThrow(
          DigestMismatchError,
        );
      }
      expect((await read(digest))?.equals(bytes)).toBe(true);
    });

    test('gives whole content to readers while the blob is stored again', async () => {
      const { bytes, digest } = fresh(partBytes + 1);
      await store.put(digest, bytes, undefined, unending);
      await Promise.all(
        Array.from({ length: 6 }, async (_, i) => {
          if (i % 2 === 0) await store.put(digest, streamOf(bytes), undefined, unending);
          else expect((await read(digest))?.equals(bytes)).toBe(true);
        }),
      );
    });

    test('deletes a blob, and a missing one without complaint', async () => {
      const { bytes, digest } = fresh(100);
      await store.put(digest, bytes, undefined, unending);
      await bench.replica.delete(digest, unending);
      await expectNothing(digest);
      await store.delete(digest, unending);
      await store.put(digest, bytes, undefined, unending);
      expect((await read(digest))?.equals(bytes)).toBe(true);
    });

    test('does nothing when the signal has aborted already', async () => {
      const { bytes, digest } = fresh(100);
      const aborted = AbortSignal.abort(new Error('the client is gone'));
      const body = streamOf(bytes);
      await expect(store.put(digest, bytes, undefined, aborted)).rejects.toBeDefined();
      await expect(store.put(digest, body, undefined, aborted)).rejects.toBeDefined();
      expect(body.destroyed).toBe(true);
      await expectNothing(digest);
      await store.put(digest, bytes, undefined, unending);
      await expect(store.stat(digest, aborted)).rejects.toBeDefined();
      await expect(store.open(digest, undefined, aborted)).rejects.toBeDefined();
      await expect(store.delete(digest, aborted)).rejects.toBeDefined();
      expect((await read(digest))?.equals(bytes)).toBe(true);
    });
  });
}
