import type { IncomingMessage } from 'node:http';

import { registryError } from '../oci/errors.ts';

/** What may stand in a host with its port (RFC 3986, 3.2.2), user names aside. */
const HOST = /^[A-Za-z0-9._~!$&'()*+,;=:%[\]-]*$/;

/** Of two lines Node takes the first; a proxy in front, or whoever reads the log, may take the other. */
const SINGLE_LINES: ReadonlySet<string> = new Set([
  'host',
  'content-type',
  'content-range',
  'authorization',
]);

/**
 * Refuses what Node's parser lets pass although two readers may understand it in two ways: other versions of HTTP,
 * two Host or Content-Type lines, a Host that is none, a body in another transfer coding than `chunked`. The
 * connection is closed afterwards, since nobody knows where the next request on it begins.
 */
export function requirePlainRequest(http: IncomingMessage): void {
  if (http.httpVersion !== '1.1' && http.httpVersion !== '1.0') {
    throw refusal(505, 'the HTTP version is not supported');
  }
  const lines = new Set<string>();
  for (let at = 0; at < http.rawHeaders.length; at += 2) {
    const name = http.rawHeaders[at]?.toLowerCase() ?? '';
    if (!SINGLE_LINES.has(name)) continue;
    if (lines.has(name)) throw refusal(400, `there are two ${name} headers`);
    lines.add(name);
  }
  if (!HOST.test(http.headers.host ?? '')) throw refusal(400, 'the Host header is invalid');
  const coding = http.headers['transfer-encoding'];
  if (coding === undefined) return;
  if (http.httpVersion === '1.0') throw refusal(400, 'HTTP/1.0 has no transfer codings');
  if (coding.toLowerCase() !== 'chunked') {
    throw refusal(501, 'the transfer coding is not supported');
  }
}

/** Refuses bodies that would have to be decoded: a registry stores and hashes what it was sent. */
export function requireIdentityEncoding(http: IncomingMessage): void {
  const encoding = http.headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw registryError('UNSUPPORTED', {
      status: 415,
      message: 'request bodies must not have a Content-Encoding',
    });
  }
}

const refusal = (status: number, message: string): Error =>
  registryError('UNSUPPORTED', { status, message, headers: { Connection: 'close' } });
