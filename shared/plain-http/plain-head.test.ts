import { expect, test } from '@jest/globals';

import { parsePlainHead } from './plain-head.ts';

const head = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines].join('\r\n');

test('reads status, fields and length, and joins lines of one name', () => {
  const text = head(
    'ETag: "a" ',
    'x-amz-meta:',
    'Vary: Origin',
    'vary: Accept',
    'Content-Length: 12',
  );
  expect(parsePlainHead(text)).toEqual({
    status: 200,
    reason: 'OK',
    headers: { etag: '"a"', 'x-amz-meta': '', vary: 'Origin, Accept', 'content-length': '12' },
    length: 12,
    isReusable: true,
  });
});

test.each([
  ['HTTP/1.1 206 Partial Content\r\nContent-Length: 0', 206],
  ['HTTP/1.1 404\r\nContent-Length: 0', 404],
  ['HTTP/1.1 503 \r\nContent-Length: 0', 503],
])('takes %j', (text, status) => {
  expect(parsePlainHead(text)?.status).toBe(status);
});

test.each([
  ['keep-alive', true],
  ['Keep-Alive', true],
  ['close', false],
  ['keep-alive, close', false],
])('after `Connection: %s` the connection serves again: %s', (value, isReusable) => {
  const text = head('Content-Length: 1', `Connection: ${value}`);
  expect(parsePlainHead(text)?.isReusable).toBe(isReusable);
});

test('a field may be called like what every object has', () => {
  const text = head('__proto__: x', 'constructor: y', 'Content-Length: 1');
  expect(parsePlainHead(text)?.headers['constructor']).toBe('y');
});

test.each([
  ['no answer', ''],
  ['another version', 'HTTP/1.0 200 OK\r\nContent-Length: 1'],
  ['another protocol', 'ICY 200 OK\r\nContent-Length: 1'],
  ['an odd status', 'HTTP/1.1 2000 OK\r\nContent-Length: 1'],
  ['a status out of range', 'HTTP/1.1 600 OK\r\nContent-Length: 1'],
  ['an interim answer', 'HTTP/1.1 100 Continue\r\nContent-Length: 1'],
  ['an answer without a body', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1'],
  ['no length', head('ETag: "a"')],
  ['chunks', head('Transfer-Encoding: chunked')],
  ['chunks and a length', head('Content-Length: 1', 'transfer-encoding: chunked')],
  ['two lengths', head('Content-Length: 1', 'Content-Length: 2')],
  ['one length twice', head('Content-Length: 1', 'Content-Length: 1')],
  ['a negative length', head('Content-Length: -1')],
  ['a signed length', head('Content-Length: +1')],
  ['a length in hex', head('Content-Length: 0x1')],
  ['a length that is no exact number', head('Content-Length: 9007199254740993')],
  ['another protocol to follow', head('Content-Length: 1', 'Upgrade: h2c')],
  ['a folded line', head('X-A: b', ' Content-Length: 2', 'Content-Length: 1')],
  ['a space before the colon', head('Content-Length : 1')],
  ['a line without a colon', head('Content-Length: 1', 'oops')],
  ['a name of nothing', head('Content-Length: 1', ': x')],
  ['a bare line feed', head('X-A: b\nContent-Length: 2', 'Content-Length: 1')],
  ['a bare carriage return', head('X-A: b\rX', 'Content-Length: 1')],
  ['a zero byte', head('X-A: b\0', 'Content-Length: 1')],
])('leaves %s to a parser that knows all of HTTP', (_what, text) => {
  expect(parsePlainHead(text)).toBeUndefined();
});
