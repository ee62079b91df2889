import { describe, expect, test } from '@jest/globals';

import { parseAuthorization } from './authorization-header.ts';
import { basic } from './testing/htpasswd-lines.ts';

const kindOf = (value: string | undefined): string => parseAuthorization(value).kind;

describe('an Authorization header', () => {
  test('brings a user name and a password, which may have colons and any letter', () => {
    expect(parseAuthorization(basic('alice', 'a:b:ü€😀'))).toEqual({
      kind: 'basic',
      credentials: { username: 'alice', password: 'a:b:ü€😀' },
    });
    expect(kindOf(basic('alice', 'x').replace('Basic', 'bAsIc'))).toBe('basic');
    expect(kindOf(basic('', ''))).toBe('basic');
  });

  test('brings a token', () => {
    expect(parseAuthorization('Bearer a.b-c_d.e')).toEqual({ kind: 'bearer', token: 'a.b-c_d.e' });
    expect(kindOf(undefined)).toBe('none');
  });

  test.each([
    ['nothing', ''],
    ['no credentials', 'Basic'],
    ['empty credentials', 'Basic '],
    ['base64 with bits that mean nothing', 'Basic YTpi='],
    ['base64 that is cut', 'Basic YTpiY'],
    ['base64 for URLs', `Basic ${Buffer.from('a:???~~~').toString('base64url')}`],
    ['two of them', `${basic('a', 'b')}, ${basic('c', 'd')}`],
    ['no colon', `Basic ${Buffer.from('alice').toString('base64')}`],
    ['a NUL', basic('alice', 'a\0b')],
    ['a line break', basic('alice', 'a\r\nb')],
    ['bytes that are no UTF-8', `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString('base64')}`],
    ['more than 8 KiB', basic('alice', 'x'.repeat(8 * 1024))],
    ['another scheme', 'Digest username="alice"'],
    ['a token with a space', 'Bearer a b'],
    ['a token beyond 16 KiB', `Bearer ${'.'.repeat(16 * 1024 + 1)}`],
  ])('with %s signs nobody in', (_what, value) => {
    expect(kindOf(value)).toBe('unusable');
  });
});
