import { expect, test } from '@jest/globals';

import { requestText } from './request-text.ts';

const request = { method: 'GET', path: '/bucket/a%20b', headers: { host: 'h:1' } };

test('writes target, fields and the end of the head', () => {
  expect(requestText({ ...request, query: { 'x-id': 'GetObject' } })).toBe(
    'GET /bucket/a%20b?x-id=GetObject HTTP/1.1\r\nhost: h:1\r\nConnection: keep-alive\r\n\r\n',
  );
});

test('escapes and orders the query as the signature has it', () => {
  const query = { b: ['2', "1'"], a: 'x y&(z)', c: null };
  expect(requestText({ ...request, query }).split(' ')[1]).toBe(
    '/bucket/a%20b?a=x%20y%26%28z%29&b=2&b=1%27&c',
  );
});

test.each([
  ['a value with a line break', { ...request, headers: { host: 'h\r\nX: y' } }],
  ['a name with a line break', { ...request, headers: { 'host\n': 'h' } }],
  ['a path with a line break', { ...request, path: '/a\r\nX: y' }],
  ['a path with a space', { ...request, path: '/a b' }],
  ['a path that is none', { ...request, path: 'http://other/' }],
])('refuses %s', (_what, odd) => {
  expect(() => requestText(odd)).toThrow(TypeError);
});
