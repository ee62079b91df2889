import { describe, expect, test } from '@jest/globals';

import { parseRetryAfter } from './retry-after.ts';

describe('parseRetryAfter', () => {
  const now = new Date('2026-01-01T00:00:00Z');

  test.each([
    ['7', 7],
    ['0', 1],
    ['100000', 600],
    ['Thu, 01 Jan 2026 00:00:20 GMT', 20],
    ['Wed, 31 Dec 2025 23:00:00 GMT', 1],
    [String(now.getTime() / 1000 + 45), 45],
    ['1.2', 2],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s means %s seconds', (header, seconds) => {
    expect(parseRetryAfter(header, now)).toBe(seconds);
  });
});
