import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { formatNextLink } from './link-header.ts';
import { cutPage, type Page, parsePageRequest } from './pagination.ts';

const LIMITS = { defaultSize: 100, maxSize: 1000 };

const request = (query: string): ReturnType<typeof parsePageRequest> =>
  parsePageRequest(new URLSearchParams(query), LIMITS);

/** Entries that are prefixes of one another, as tags and repositories are. */
const sortedEntries = fc
  .uniqueArray(
    fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', '_', '/'), minLength: 1, maxLength: 4 }),
    { maxLength: 40 },
  )
  .map((entries) => entries.sort());

describe('parsePageRequest', () => {
  test.each([
    ['', 100],
    ['n=', 100],
    ['n=0', 0],
    ['n=7', 7],
    ['n=1000', 1000],
    ['n=1000000000', 1000],
  ])('%j asks for %i entries', (query, size) => {
    expect(request(query)).toEqual({ size, last: undefined });
  });

  test.each(['-1', 'NaN', '1e3', '1.5', '0x10', ' 1', 'Infinity', '9'.repeat(19)])(
    'refuses n=%s',
    (n) => {
      expect(() => request(new URLSearchParams({ n }).toString())).toThrow(
        expect.objectContaining({ code: 'PAGINATION_NUMBER_INVALID', status: 400 }),
      );
    },
  );
});

describe('the size of a page', () => {
  test('is a whole number between nothing and the most, or the request is refused', () => {
    const anything = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.double().map(String),
      fc.bigInt().map(String),
      fc.integer().map((n) => `${n}`),
      fc.constantFrom('٣', '１', '0b1', '1_000', '+1', '-0', '9223372036854775808', '1\n', '1,2'),
    );
    fc.assert(
      fc.property(anything, (n) => {
        const isNumber = /^[0-9]{1,15}$/.test(n);
        const read = (): number => request(new URLSearchParams({ n }).toString()).size;
        if (!isNumber) expect(read).toThrow(expect.objectContaining({ status: 400 }));
        else expect(read()).toBe(Math.min(Number(n), LIMITS.maxSize));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('cutPage', () => {
  test('gives every entry exactly once and in order, for every page size', () => {
    fc.assert(
      fc.property(sortedEntries, fc.integer({ min: 1, max: 45 }), (entries, size) => {
        const seen: string[] = [];
        let last: string | undefined;
        do {
          const page = cutPage(entries, { size, last });
          seen.push(...page.entries);
          expect(page.entries.length).toBeLessThanOrEqual(size);
          if (page.next !== undefined) expect(page.entries).toHaveLength(size);
          last = page.next;
        } while (last !== undefined);
        expect(seen).toEqual(entries);
      }),
    );
  });

  test('starts after `last`, whether it exists or not', () => {
    fc.assert(
      fc.property(sortedEntries, fc.string({ maxLength: 4 }), (entries, last) => {
        const page = cutPage(entries, { size: 100, last });
        expect(page.entries).toEqual(entries.filter((entry) => entry > last));
      }),
    );
  });

  test.each([
    [['a', 'a-b', 'a.b', 'a_b', 'aa']],
    [['a', 'a-b', 'a/b', 'a/b-c']],
    [['A', 'Z', '_a', 'a', 'z', 'z0']],
  ])('gives each of %j once, from wherever one begins', (names) => {
    const lasts = fc.oneof(
      fc.constantFrom(...names),
      fc.string({ maxLength: 6 }),
      fc.string({ unit: 'binary', maxLength: 3 }),
    );
    fc.assert(
      fc.property(lasts, fc.integer({ min: 1, max: 8 }), (start, size) => {
        const seen: string[] = [];
        for (let last: string | undefined = start; last !== undefined;) {
          const page: Page<string> = cutPage(names, { size, last });
          seen.push(...page.entries);
          last = page.next;
        }
        expect(seen).toEqual(names.filter((name) => name > start));
      }),
    );
  });

  test('has no next page when nothing was asked for', () => {
    expect(cutPage(['a'], { size: 0, last: undefined })).toEqual({ entries: [], next: undefined });
  });
});

describe('formatNextLink', () => {
  test('is relative and keeps what the client sent besides', () => {
    const kept = new URLSearchParams({ ns: 'docker.io' });
    expect(formatNextLink('/v2/a/tags/list', { size: 2, last: undefined }, 'v1/x', kept)).toBe(
      '</v2/a/tags/list?ns=docker.io&n=2&last=v1%2Fx>; rel="next"',
    );
  });
});
