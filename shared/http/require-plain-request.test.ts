import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { RegistryError } from '../oci/errors.ts';
import { requireIdentityEncoding, requirePlainRequest } from './require-plain-request.ts';
import { sendRaw } from './testing/http-client.ts';

describe('requirePlainRequest', () => {
  let server: Server;

  beforeAll(async () => {
    server = createServer((request, response) => {
      response.setHeader('Connection', 'close').end(statusOf(request));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  /** What is thrown for a request that Node's own parser has let pass. */
  function statusOf(request: IncomingMessage): string {
    try {
      requirePlainRequest(request);
      requireIdentityEncoding(request);
      return 'passes';
    } catch (error) {
      return error instanceof RegistryError ? `refused with ${error.status}` : String(error);
    }
  }

  const verdict = async (head: string, body = ''): Promise<string> => {
    const { port } = server.address() as AddressInfo;
    const answer = await sendRaw(port, `${head.replaceAll('\n', '\r\n')}\r\n\r\n${body}`);
    return answer.split('\r\n\r\n').at(-1) ?? '';
  };

  test.each([
    'GET / HTTP/1.1\nHost: registry.example:5000',
    'GET / HTTP/1.1\nHost: [::1]:5000',
    'GET / HTTP/1.1\nHost: my_registry',
    'GET / HTTP/1.1\nHost:',
    'GET / HTTP/1.0',
    'GET / HTTP/1.1\nHost: a\n__proto__: x\nconstructor: y',
    'GET / HTTP/1.1\nHost: a\nContent-Encoding: identity',
    'GET / HTTP/1.1\nHost: a\nAccept: a/b\nAccept: c/d',
  ])('lets %j pass', async (head) => {
    expect(await verdict(head)).toMatch(/passes/);
  });

  test('lets a chunked body pass', async () => {
    const head = 'PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked';
    expect(await verdict(head, '0\r\n\r\n')).toMatch(/passes/);
  });

  test.each<[number, string]>([
    [505, 'GET / HTTP/2.0\nHost: a'],
    [505, 'GET /'],
    [400, 'GET / HTTP/1.1\nHost: a\nHost: a'],
    [400, 'GET / HTTP/1.1\nHost: a/b'],
    [400, 'GET / HTTP/1.1\nHost: a?b'],
    [400, 'GET / HTTP/1.1\nHost: a#b'],
    [400, 'GET / HTTP/1.1\nHost: a\\b'],
    [400, 'GET / HTTP/1.1\nHost: user@a'],
    [400, 'GET / HTTP/1.1\nHost: a b'],
    [400, 'GET / HTTP/1.1\nHost: a, b'],
    [400, 'GET / HTTP/1.1\nHost: ä'],
    [400, 'PUT / HTTP/1.1\nHost: a\nContent-Type: a/b\ncontent-type: c/d'],
    [400, 'PUT / HTTP/1.1\nHost: a\nContent-Range: 0-1\nContent-Range: 0-2'],
    [400, 'GET / HTTP/1.1\nHost: a\nAuthorization: Basic a\nAuthorization: Basic b'],
    [400, 'PUT / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked'],
    [501, 'PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked'],
    [415, 'PUT / HTTP/1.1\nHost: a\nContent-Encoding: gzip'],
    [415, 'PUT / HTTP/1.1\nHost: a\nContent-Encoding: identity\nContent-Encoding: gzip'],
    [415, 'PUT / HTTP/1.1\nHost: a\nContent-Encoding: aws-chunked'],
  ])('refuses with %i %j', async (status, head) => {
    const body = head.includes('Transfer-Encoding') ? '0\r\n\r\n' : '';
    expect(await verdict(head, body)).toMatch(`refused with ${status}`);
  });
});
