import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { resolveRange } from './range.ts';
import { formatContentRange, parseChunkRange, parseRangeHeader } from './range-header.ts';

const position = fc.integer({ min: 0, max: 999_999_999_999_999 });

describe('parseRangeHeader', () => {
  test('reads every range of bytes that can be written', () => {
    fc.assert(
      fc.property(position, position, (first, last) => {
        expect(parseRangeHeader(`bytes=${first}-${last}`)).toEqual({ kind: 'from', first, last });
        expect(parseRangeHeader(`bytes=${first}-`)).toEqual({ kind: 'from', first });
        expect(parseRangeHeader(`bytes=-${last}`)).toEqual({ kind: 'suffix', length: last });
      }),
    );
  });

  test.each([
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1-2,4-5',
    'lines=0-1',
    'bytes=-1-2',
    'bytes=0x1-2',
    'bytes=9999999999999999-',
    '0-1',
  ])('ignores %j', (value) => {
    expect(parseRangeHeader(value)).toBeUndefined();
  });

  test('keeps a range that ends before it begins, of which no byte exists', () => {
    const range = parseRangeHeader('bytes=500-0');
    expect(range && resolveRange(range, 1000)).toBeUndefined();
  });
});

describe('resolveRange with formatContentRange', () => {
  test.each([
    ['bytes=500-1499', 'bytes 500-1499/2000'],
    ['bytes=500-', 'bytes 500-1999/2000'],
    ['bytes=-500', 'bytes 1500-1999/2000'],
    ['bytes=-5000', 'bytes 0-1999/2000'],
    ['bytes=1999-5000', 'bytes 1999-1999/2000'],
    ['bytes=0-0', 'bytes 0-0/2000'],
  ])('%s of 2000 bytes is %s', (header, expected) => {
    const range = parseRangeHeader(header)!;
    expect(formatContentRange(resolveRange(range, 2000)!, 2000)).toBe(expected);
  });

  test.each(['bytes=2000-', 'bytes=5000-10000', 'bytes=-0'])(
    '%s of 2000 bytes is none',
    (header) => {
      expect(resolveRange(parseRangeHeader(header)!, 2000)).toBeUndefined();
    },
  );
});

describe('a range of any content', () => {
  const near = fc.oneof(fc.nat({ max: 40 }), position);
  const ranges = fc.oneof(
    fc.tuple(near, near).map(([first, last]) => ({ first, last, value: `bytes=${first}-${last}` })),
    near.map((first) => ({ first, last: Infinity, value: `bytes=${first}-` })),
  );

  test('gives exactly the bytes between both ends, or none', () => {
    fc.assert(
      fc.property(ranges, fc.nat({ max: 40 }), ({ first, last, value }, total) => {
        const expected = Array.from({ length: total }, (_, at) => at).filter(
          (at) => at >= first && at <= last,
        );
        const resolved = resolveRange(parseRangeHeader(value)!, total);
        if (expected.length === 0) {
          expect(resolved).toBeUndefined();
          return;
        }
        expect(resolved).toEqual({ offset: expected[0], length: expected.length });
        expect(formatContentRange(resolved!, total)).toBe(
          `bytes ${expected[0]}-${expected.at(-1)}/${total}`,
        );
      }),
    );
  });

  test('gives exactly the last bytes for a suffix, or none', () => {
    fc.assert(
      fc.property(near, fc.nat({ max: 40 }), (length, total) => {
        const resolved = resolveRange(parseRangeHeader(`bytes=-${length}`)!, total);
        const expected = Math.min(length, total);
        expect(resolved).toEqual(
          expected === 0 ? undefined : { offset: total - expected, length: expected },
        );
      }),
    );
  });

  test('never reaches outside of the content, whatever the header says', () => {
    const almost = fc.string({
      unit: fc.constantFrom(...Array.from('0123456789-=, bytes')),
      maxLength: 24,
    });
    const headers = fc.oneof(
      fc.string(),
      almost,
      almost.map((text) => `bytes=${text}`),
    );
    fc.assert(
      fc.property(headers, fc.maxSafeNat(), (header, total) => {
        const range = parseRangeHeader(header);
        const resolved = range && resolveRange(range, total);
        if (!resolved) return;
        expect(resolved.offset).toBeGreaterThanOrEqual(0);
        expect(resolved.length).toBeGreaterThan(0);
        expect(resolved.offset + resolved.length).toBeLessThanOrEqual(total);
        expect(Number.isSafeInteger(resolved.offset)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each(['bytes=', 'bytes= ', 'bytes=1', 'bytes=1-', 'bytes=1-2', ''])(
    'is refused in few steps when %j is followed by 300,000 characters and more',
    (start) => {
      for (const unit of [' ', '0', '\t', '-', ',1-2', '1-']) {
        const value = `${start}${unit.repeat(300_000)}x`;
        expect(parseRangeHeader(value)).toBeUndefined();
        expect(parseChunkRange(value)).toBeUndefined();
      }
    },
  );
});

describe('parseChunkRange', () => {
  test('reads what the specification writes', () => {
    fc.assert(
      fc.property(position, position, (first, last) => {
        expect(parseChunkRange(`${first}-${last}`)).toEqual({ first, last });
      }),
    );
  });

  test.each(['', '-', '1-', '-1', 'bytes 0-99/100', 'bytes=0-99', '0 - 9', '0-9/10', '1e3-2e3'])(
    'refuses %j',
    (value) => {
      expect(parseChunkRange(value)).toBeUndefined();
    },
  );
});
