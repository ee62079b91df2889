import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { patternBytes } from '../testing/contract-support.ts';
import {
  type AssembledPart,
  firstPartBytes,
  PartAssembler,
  partBytesAt,
} from './part-assembler.ts';
import { PartPool } from './part-pool.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const MAX_PARTS = 10_000;

describe('the sizes of parts', () => {
  test('let a stream of unknown length pass 48 GiB within 10,000 parts, from the smallest part on', () => {
    let total = 0;
    for (let number = 1; number <= MAX_PARTS; number += 1) total += partBytesAt(number, 5 * MIB);
    expect(total).toBeGreaterThan(48 * GIB);
  });

  test('stay as configured where a known size allows it, so that a blob has parts of one size', () => {
    expect(firstPartBytes(10 * MIB, undefined)).toBe(10 * MIB);
    expect(firstPartBytes(10 * MIB, 20 * GIB)).toBe(10 * MIB);
  });

  test('begin large enough for a known size that needs it', () => {
    const size = 5 * 1024 * GIB;
    const first = firstPartBytes(10 * MIB, size);
    expect(first * MAX_PARTS).toBeGreaterThanOrEqual(size);
    expect(first).toBeLessThan(GIB);
  });

  test('grow no further for an announcement of more than a bucket takes', () => {
    const largest = firstPartBytes(10 * MIB, 5 * 1024 * GIB);
    expect(firstPartBytes(10 * MIB, 900_000_000_000_000)).toBe(largest);
  });
});

describe('PartAssembler', () => {
  let pool: PartPool;
  beforeEach(() => {
    pool = new PartPool({ blockBytes: 100, partsInFlight: 4 });
  });
  afterEach(() => pool.close());

  /** The parts of the chunks, the rest as the last one. */
  const assemble = async (
    chunks: readonly Buffer[],
    options: { partBytes: number; firstNumber?: number; heldBytes?: number },
  ): Promise<AssembledPart[]> => {
    const parts: AssembledPart[] = [];
    const assembler = new PartAssembler({ ...options, pool }, (part) => {
      parts.push({ number: part.number, bytes: Buffer.from(part.bytes) });
      assembler.recycle(part);
      return Promise.resolve();
    });
    for (const chunk of chunks) await assembler.write(chunk);
    const { number, bytes } = assembler.rest;
    return [...parts, { number, bytes: Buffer.from(bytes) }];
  };
  const sizes = (parts: readonly AssembledPart[]): number[] => parts.map((p) => p.bytes.length);

  test('loses and doubles no byte, whatever the sizes of the chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 100 }),
        async (lengths, partBytes) => {
          const chunks = lengths.map((length, i) => patternBytes(length, i + 1));
          const whole = Buffer.concat(chunks);
          const parts = await assemble(chunks, { partBytes });
          expect(Buffer.concat(parts.map((part) => part.bytes)).equals(whole)).toBe(true);
          expect(parts.map((part) => part.number)).toEqual(parts.map((_, i) => i + 1));
          for (const part of parts.slice(0, -1)) expect(part.bytes.length).toBe(partBytes);
        },
      ),
    );
  });

  test('keeps a full part until more comes, so that a body of one part needs no multipart upload', async () => {
    expect(sizes(await assemble([patternBytes(100, 1)], { partBytes: 100 }))).toEqual([100]);
    expect(sizes(await assemble([patternBytes(101, 1)], { partBytes: 100 }))).toEqual([100, 1]);
    expect(sizes(await assemble([], { partBytes: 100 }))).toEqual([0]);
  });

  test('leaves room in the first part for what is held elsewhere', async () => {
    const options = { partBytes: 100, firstNumber: 4, heldBytes: 70 };
    const parts = await assemble([patternBytes(150, 1)], options);
    expect(sizes(parts)).toEqual([30, 100, 20]);
    expect(parts.map((part) => part.number)).toEqual([4, 5, 6]);
  });

  test('passes an empty part on when all of it is held elsewhere', async () => {
    const parts = await assemble([patternBytes(5, 1)], { partBytes: 100, heldBytes: 100 });
    expect(sizes(parts)).toEqual([0, 5]);
  });

  test('copies the bytes, so that a chunk may be used again by its owner', async () => {
    const chunk = patternBytes(10, 1);
    const assembler = new PartAssembler({ partBytes: 100, pool }, () => Promise.resolve());
    await assembler.write(chunk);
    chunk.fill(0);
    expect(assembler.rest.bytes.equals(patternBytes(10, 1))).toBe(true);
  });

  test('takes nothing more while a part waits for its turn', async () => {
    const turn = Promise.withResolvers<undefined>();
    const assembler = new PartAssembler({ partBytes: 10, pool }, async () => {
      await turn.promise;
    });
    let isTaken = false;
    const writing = assembler.write(patternBytes(15, 1)).then(() => {
      isTaken = true;
    });
    await Promise.resolve();
    expect(isTaken).toBe(false);
    turn.resolve(undefined);
    await writing;
    expect(assembler.rest).toMatchObject({ number: 2 });
  });
});
