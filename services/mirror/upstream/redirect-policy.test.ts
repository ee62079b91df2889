import { describe, expect, test } from '@jest/globals';

import { redirectedHeaders, redirectTarget } from './redirect-policy.ts';

describe('redirectTarget', () => {
  const from = new URL('https://registry.example/v2/a/blobs/x');

  test.each([
    ['https://cdn.example/x?sig=1', 'https://cdn.example/x?sig=1'],
    ['/elsewhere', 'https://registry.example/elsewhere'],
    ['y', 'https://registry.example/v2/a/blobs/y'],
    ['//cdn.example/x', 'https://cdn.example/x'],
  ])('%s leads to %s', (location, target) => {
    expect(redirectTarget(location, from).href).toBe(target);
  });

  test.each([
    'http://registry.example/x',
    'file:///etc/passwd',
    'https://me@cdn.example/',
    'https://',
  ])('%s is refused', (location) => {
    expect(() => redirectTarget(location, from)).toThrow();
  });

  test('may go from http to https', () => {
    const target = redirectTarget('https://cdn.example/x', new URL('http://localhost:5000/'));
    expect(target.protocol).toBe('https:');
  });
});

describe('redirectedHeaders', () => {
  const headers = { Authorization: 'Bearer x', range: 'bytes=1-' };

  test.each([
    ['https://a.example/x', true],
    ['https://a.example:443/x', true],
    ['https://a.example:444/x', false],
    ['http://a.example/x', false],
    ['https://b.a.example/x', false],
  ])('on the way to %s keep the token: %s', (to, isKept) => {
    const sent = redirectedHeaders(headers, new URL('https://a.example/'), new URL(to));
    expect('Authorization' in sent).toBe(isKept);
    expect(sent['range']).toBe('bytes=1-');
  });
});
