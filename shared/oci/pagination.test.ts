import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { formatNextLink } from './link-header.ts';
import { cutPage, parsePageRequest } from './pagination.ts';

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
