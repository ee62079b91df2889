import { Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { ManualClock } from '../index/testing/manual-clock.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import type { BlobBody, BlobStore } from '../storage/blob-store.ts';
import { StorageError } from '../storage/errors.ts';
import { withCheckedPulls } from './checked-pulls.ts';

const unending = new AbortController().signal;
const CHUNK_BYTES = 1000;
const blob = Buffer.alloc(10 * CHUNK_BYTES, 'right');
const digest = digestOf(blob);
const rotten = Buffer.from(blob);
rotten[17]! ^= 1;

/** The store holds `bytes` under the digest, as its `version`; `inspections` counts the chunks that were inspected. */
let stored: { bytes: Buffer; version: string };
let opened: Readable[];
let damaged: Digest[];
let clock: ManualClock;
let blobs: BlobStore;
let inspections: number;

function bodyOf({ bytes, version }: typeof stored, offset: number): BlobBody {
  const part = bytes.subarray(offset);
  const chunks = Array.from({ length: Math.ceil(part.length / CHUNK_BYTES) }, (_, at) =>
    part.subarray(at * CHUNK_BYTES, (at + 1) * CHUNK_BYTES),
  );
  const stream = Readable.from(chunks, { objectMode: false });
  opened.push(stream);
  return {
    totalBytes: bytes.length,
    offset,
    length: part.length,
    version,
    stream,
    copyTo: async (destination, inspect) => {
      for (const chunk of chunks) {
        if (inspect) inspections += 1;
        inspect?.(chunk);
        destination.write(chunk);
      }
      await Promise.resolve();
    },
  };
}

beforeEach(() => {
  stored = { bytes: blob, version: 'first' };
  opened = [];
  damaged = [];
  inspections = 0;
  clock = new ManualClock();
  const store: Partial<BlobStore> = {
    stat: () => Promise.resolve({ size: stored.bytes.length, version: stored.version }),
    open: (_digest, range) => {
      return Promise.resolve(bodyOf(stored, range?.kind === 'from' ? range.first : 0));
    },
  };
  blobs = withCheckedPulls(store as BlobStore, {
    clock,
    onDamage: (found) => damaged.push(found),
  });
});

async function copied(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  const body = await blobs.open(digest, undefined, unending);
  await body!.copyTo!(destination).catch(() => undefined);
  return Buffer.concat(chunks);
}

async function read(): Promise<Buffer> {
  const body = await blobs.open(digest, undefined, unending);
  const chunks: Buffer[] = [];
  await pipeline(body!.stream, async (chunk: AsyncIterable<Buffer>) => {
    for await (const bytes of chunk) chunks.push(bytes);
  }).catch(() => undefined);
  return Buffer.concat(chunks);
}

describe('blobs that are hashed on their way out', () => {
  test.each([
    ['copied', copied],
    ['read', read],
  ])('are given whole when they are right, and short when they are rotten: %s', async (_, get) => {
    expect((await get()).equals(blob)).toBe(true);
    expect(damaged).toEqual([]);
    stored = { bytes: rotten, version: 'second' };
    expect((await get()).length).toBeLessThan(blob.length);
    expect(damaged).toEqual([digest]);
  });

  test.each([
    ['shorter', rotten.subarray(0, -1)],
    ['longer', Buffer.concat([blob, Buffer.from('x')])],
  ])('break when the store has %s ones', async (_, bytes) => {
    stored.bytes = bytes;
    expect((await copied()).length).toBeLessThan(bytes.length);
    expect(damaged).toEqual([digest]);
  });

  test('break with a fault of the store', async () => {
    stored.bytes = rotten;
    const body = await blobs.open(digest, undefined, unending);
    await expect(buffer(body!.stream)).rejects.toBeInstanceOf(StorageError);
  });

  test('are hashed again when they were stored anew, and after an hour', async () => {
    const chunks = blob.length / CHUNK_BYTES;
    await copied();
    await copied();
    expect(inspections).toBe(chunks);
    stored.version = 'second';
    await copied();
    expect(inspections).toBe(2 * chunks);
    clock.advance(3_500_000);
    await copied();
    expect(inspections).toBe(2 * chunks);
    clock.advance(200_000);
    await copied();
    expect(inspections).toBe(3 * chunks);
  });

  test('are absent once they were found rotten, until they are stored anew', async () => {
    stored.bytes = rotten;
    expect(await blobs.stat(digest, unending)).toBeDefined();
    await copied();
    expect(await blobs.stat(digest, unending)).toBeUndefined();
    expect(await blobs.open(digest, undefined, unending)).toBeUndefined();
    expect(opened.at(-1)?.destroyed).toBe(true);
    const range = { kind: 'from', first: 10 } as const;
    expect(await blobs.open(digest, range, unending)).toBeUndefined();
    stored = { bytes: blob, version: 'second' };
    expect(await blobs.stat(digest, unending)).toBeDefined();
    expect((await copied()).equals(blob)).toBe(true);
    expect(damaged).toEqual([digest]);
  });

  test('are not judged by a part, nor by a body that its reader left', async () => {
    stored.bytes = rotten;
    const part = await blobs.open(digest, { kind: 'from', first: 10 }, unending);
    expect((await buffer(part!.stream)).equals(rotten.subarray(10))).toBe(true);
    const left = await blobs.open(digest, undefined, unending);
    left!.stream.destroy();
    expect(await blobs.stat(digest, unending)).toBeDefined();
    expect(damaged).toEqual([]);
  });
});
