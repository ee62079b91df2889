/** A request that two parsers may take for different ones, followed on the same connection by `next`. */
export interface AmbiguousRequest {
  readonly name: string;
  bytes(next: string): string;
  /** What the registry itself answers before it closes the connection. */
  readonly status: number;
}

const PUT = 'PUT /v2/team/app/manifests/x HTTP/1.1\r\nHost: a\r\n';
const CHUNKED = 'Transfer-Encoding: chunked';
const LAST_CHUNK = '0\r\n\r\n';

const put = (name: string, headers: string, body: string, status = 400): AmbiguousRequest => ({
  name,
  bytes: (next) => `${PUT}${headers}\r\n\r\n${body}${next}`,
  status,
});
const whole = (name: string, text: string, status = 400): AmbiguousRequest => ({
  name,
  bytes: (next) => text + next,
  status,
});
const get = (name: string, headers: string, status = 400): AmbiguousRequest =>
  whole(name, `GET /v2/ HTTP/1.1\r\n${headers}\r\n\r\n`, status);

const LENGTHS = [
  put('a length and chunks', `Content-Length: 4\r\n${CHUNKED}`, LAST_CHUNK),
  put('chunks and a length', `${CHUNKED}\r\nContent-Length: 4`, LAST_CHUNK),
  put('two lengths', 'Content-Length: 4\r\nContent-Length: 5', 'abcd'),
  put('one length twice', 'Content-Length: 4\r\nContent-Length: 4', 'abcd'),
  put('a list of lengths', 'Content-Length: 4, 4', 'abcd'),
  put('a length with a sign', 'Content-Length: +4', 'abcd'),
  put('a negative length', 'Content-Length: -1', 'abcd'),
  put('a hexadecimal length', 'Content-Length: 0x4', 'abcd'),
  put('a length in two words', 'Content-Length: 4 4', 'abcd'),
  put('a length beyond 64 bits', 'Content-Length: 18446744073709551620', 'abcd'),
  put('an empty length', 'Content-Length: ', 'abcd'),
];

const CODINGS = [
  put('the coding identity', 'Transfer-Encoding: identity', 'abcd'),
  put('chunks in chunks', 'Transfer-Encoding: chunked, chunked', LAST_CHUNK),
  put('chunks that are packed', 'Transfer-Encoding: chunked, gzip', LAST_CHUNK),
  put('packed chunks', 'Transfer-Encoding: gzip, chunked', LAST_CHUNK, 501),
  put('an unknown coding', 'Transfer-Encoding: xchunked', LAST_CHUNK),
  put('a coding after a vertical tab', 'Transfer-Encoding: \x0bchunked', LAST_CHUNK),
  put('two codings', `${CHUNKED}\r\nTransfer-Encoding: identity`, LAST_CHUNK),
  put('white space before the colon of a coding', 'Transfer-Encoding : chunked', LAST_CHUNK),
  put('white space before the colon of a length', 'Content-Length : 4', 'abcd'),
  put('a folded coding', 'Transfer-Encoding:\r\n chunked', LAST_CHUNK),
  whole(
    'chunks in HTTP/1.0',
    `PUT /v2/team/app/manifests/x HTTP/1.0\r\nHost: a\r\n${CHUNKED}\r\n\r\n${LAST_CHUNK}`,
  ),
];

const CHUNKS = [
  put('a negative chunk', CHUNKED, '-1\r\nabc\r\n0\r\n\r\n'),
  put('a chunk size with 0x', CHUNKED, '0x3\r\nabc\r\n0\r\n\r\n'),
  put('a chunk size beyond 64 bits', CHUNKED, 'fffffffffffffffff\r\nabc\r\n0\r\n\r\n'),
  put('a chunk size that ends in LF', CHUNKED, '3\nabc\r\n0\r\n\r\n'),
  put('a chunk size with a space', CHUNKED, '3 \r\nabc\r\n0\r\n\r\n'),
  put('a chunk that is longer than it says', CHUNKED, '3\r\nabcX0\r\n\r\n'),
  put('a chunk extension with a LF', CHUNKED, '3;a\nb\r\nabc\r\n0\r\n\r\n'),
  put('an endless chunk extension', CHUNKED, `3;${'a'.repeat(40_000)}\r\nabc\r\n0\r\n\r\n`, 413),
  put('an endless trailer', CHUNKED, `3\r\nabc\r\n0\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`, 431),
];

const HEADERS = [
  get('a folded header', 'Host: a\r\nX-A: b\r\n c'),
  get('a folded first header', ' Host: a'),
  get('a line that ends in LF', 'Host: a\nX: y'),
  get('a CR in a value', 'Host: a\rX: y'),
  get('a NUL in a value', 'Host: a\r\nX: a\0b'),
  get('a control character in a name', 'Host: a\r\nX\x01: a'),
  get('a header without a name', 'Host: a\r\n: a'),
  get('a header without a colon', 'Host: a\r\nfoo'),
  get('no Host', 'X: y'),
  get('two Hosts', 'Host: a\r\nHost: b'),
  get('a Host with a user', 'Host: u@a'),
  get('a Host with a path', 'Host: a/b'),
  get('a Host of two words', 'Host: a b'),
  get('a Host that is not ASCII', 'Host: \xe9'),
  get('a header of 40 KiB', `Host: a\r\nX: ${'a'.repeat(40_000)}`, 431),
  get('two thousand headers', `Host: a${'\r\nX: y'.repeat(2_000)}`, 431),
];

const LINES = [
  whole('lines that end in LF', 'GET /v2/ HTTP/1.1\nHost: a\n\n'),
  whole('a NUL in the target', 'GET /v2/\0x HTTP/1.1\r\nHost: a\r\n\r\n'),
  whole('a space in the target', 'GET /v2/ x HTTP/1.1\r\nHost: a\r\n\r\n'),
  whole('a target that is not ASCII', 'GET /v2/\xe9 HTTP/1.1\r\nHost: a\r\n\r\n'),
  whole('tabs between the words', 'GET\t/v2/\tHTTP/1.1\r\nHost: a\r\n\r\n'),
  whole('a target of 40 KiB', `GET /v2/${'a'.repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431),
  whole('HTTP/0.9', 'GET /v2/\r\n\r\n'),
  whole('HTTP/1.2', 'GET /v2/ HTTP/1.2\r\nHost: a\r\n\r\n'),
  whole('HTTP/2.0', 'GET /v2/ HTTP/2.0\r\nHost: a\r\n\r\n'),
  whole('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  whole('an unknown method', 'FOO /v2/ HTTP/1.1\r\nHost: a\r\n\r\n'),
  whole('a method in lower case', 'get /v2/ HTTP/1.1\r\nHost: a\r\n\r\n'),
  whole('a tunnel', 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n', 501),
  whole('a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
];

/** Every one of them ends its connection at the registry: nobody knows where the next request on it begins. */
export const AMBIGUOUS_REQUESTS: readonly AmbiguousRequest[] = [
  ...LENGTHS,
  ...CODINGS,
  ...CHUNKS,
  ...HEADERS,
  ...LINES,
];
