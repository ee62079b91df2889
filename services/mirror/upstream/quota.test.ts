import { describe, expect, test } from '@jest/globals';

import { parseQuota, ttlStretch } from './quota.ts';

describe('parseQuota', () => {
  const parse = (headers: Record<string, string>): ReturnType<typeof parseQuota> =>
    parseQuota((name) => headers[name]);

  test('reads the headers of Docker Hub', () => {
    expect(
      parse({
        'ratelimit-limit': '100;w=21600',
        'ratelimit-remaining': '76;w=21600',
        'docker-ratelimit-source': '192.0.2.7',
      }),
    ).toEqual({ limit: 100, remaining: 76, windowSeconds: 21_600, source: '192.0.2.7' });
  });

  test.each([
    [' 200 ; w = 60 ', '0', { limit: 200, remaining: 0, windowSeconds: 60 }],
    ['100', '7', { limit: 100, remaining: 7, windowSeconds: 21_600 }],
    ['100, 100;w=60', '7', { limit: 100, remaining: 7, windowSeconds: 60 }],
    ['100;w=0', '7', { limit: 100, remaining: 7, windowSeconds: 1 }],
    ['100;w=999999999', '900', { limit: 100, remaining: 100, windowSeconds: 604_800 }],
  ])('reads %s and %s', (limit, remaining, quota) => {
    const headers = { 'ratelimit-limit': limit, 'ratelimit-remaining': remaining };
    expect(parse(headers)).toEqual({ ...quota, source: undefined });
  });

  test.each([
    [{}],
    [{ 'ratelimit-limit': '100;w=21600' }],
    [{ 'ratelimit-remaining': '100;w=21600' }],
    [{ 'ratelimit-limit': 'many', 'ratelimit-remaining': '1' }],
    [{ 'ratelimit-limit': '0', 'ratelimit-remaining': '0' }],
    [{ 'ratelimit-limit': '-5', 'ratelimit-remaining': '1' }],
    [{ 'ratelimit-limit': '9'.repeat(40), 'ratelimit-remaining': '1' }],
  ])('finds none in %j', (headers) => {
    expect(parse(headers)).toBeUndefined();
  });
});

test.each([
  [undefined, 1],
  [1, 1],
  [0.5, 1],
  [0.25, 2],
  [0.125, 4],
  [0.0625, 8],
  [0.01, 16],
  [0, 16],
])('with %s of the budget left tags live %s times as long', (share, stretch) => {
  expect(ttlStretch(share)).toBeCloseTo(stretch);
});
