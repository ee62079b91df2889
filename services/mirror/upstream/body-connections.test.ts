import { connect, type Socket } from 'node:net';
import { buffer, text } from 'node:stream/consumers';

import { afterEach, describe, expect, test } from '@jest/globals';

import { LentBody } from '../../../shared/plain-http/lent-body.ts';
import { RawServer } from '../../../shared/plain-http/testing/raw-server.ts';
import { BodyConnections } from './body-connections.ts';

const DEADLINES = { connectMs: 5_000, headersMs: 5_000, idleMs: 5_000 };
const unending = new AbortController().signal;
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

interface Script {
  readonly url: URL;
  readonly requests: string[];
  readonly connections: number;
}

/** A server that answers each request by what the script says, whatever was asked. */
async function listen(
  answer: (socket: Socket, request: number, connection: number) => void,
): Promise<Script> {
  const requests: string[] = [];
  const server = await new RawServer((socket) => {
    const connection = server.connections;
    socket.on('data', (bytes) => {
      requests.push(bytes.toString('latin1'));
      answer(socket, requests.length, connection);
    });
  }).listen();
  closers.push(() => server.close());
  return {
    url: new URL(`http://127.0.0.1:${server.port}/blob?sig=a%2Fb`),
    requests,
    get connections() {
      return server.connections;
    },
  };
}

function connections(deadlines = DEADLINES): BodyConnections {
  const made = new BodyConnections(
    ({ hostname, port }, onread) => connect({ host: hostname, port: Number(port), onread }),
    deadlines,
  );
  closers.push(() => {
    made.destroy();
    return Promise.resolve();
  });
  return made;
}

const plain = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe('BodyConnections', () => {
  test('asks as it was told to, and again on the same connection', async () => {
    const server = await listen(
      (socket, request) => void socket.write(plain(`content ${request}`)),
    );
    const client = connections();
    const headers = { authorization: 'Bearer token' };
    const first = await client.get(server.url, headers, unending);
    expect(first.status).toBe(200);
    expect(first.headers['content-length']).toBe('9');
    expect(first.body).toBeInstanceOf(LentBody);
    expect(await text(first.body)).toBe('content 1');
    expect(await text((await client.get(server.url, headers, unending)).body)).toBe('content 2');
    expect(server.connections).toBe(1);
    expect(server.requests[0]).toMatch(
      /^GET \/blob\?sig=a%2Fb HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\nauthorization: Bearer token\r\n/,
    );
  });

  test('asks again where an idle connection was closed just then, and only there', async () => {
    const server = await listen((socket, _, connection) => {
      if (connection === 1 && server.requests.length > 1) socket.destroy();
      else if (connection === 3) socket.destroy();
      else socket.write(plain('content'));
    });
    const client = connections();
    await text((await client.get(server.url, {}, unending)).body);
    expect(await text((await client.get(server.url, {}, unending)).body)).toBe('content');
    expect(server.connections).toBe(2);
    const other = connections();
    await expect(other.get(server.url, {}, unending)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(server.connections).toBe(3);
  });

  test.each([
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ncontent\r\n0\r\n\r\n'],
    [
      'after an interim answer',
      `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${plain('content')}`,
    ],
  ])('takes a body that comes %s', async (_, answer) => {
    const server = await listen((socket) => void socket.write(answer));
    const { status, body } = await connections().get(server.url, {}, unending);
    expect(status).toBe(200);
    expect(await text(body)).toBe('content');
  });

  test.each([
    ['an answer', ''],
    ['a body', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'],
    ['a body in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('gives up %s that does not go on', async (_, answer) => {
    const server = await listen((socket) => void socket.write(answer));
    const client = connections({ connectMs: 5_000, headersMs: 100, idleMs: 50 });
    const read = async (): Promise<unknown> =>
      buffer((await client.get(server.url, {}, unending)).body);
    await expect(read()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });

  test('waits for a reader that takes its time', async () => {
    const server = await listen(
      (socket) =>
        void socket.write(
          `HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n${'x'.repeat(9_000_000)}`,
        ),
    );
    // Longer than a busy machine stops this process while bytes come.
    const idleMs = 500;
    const client = connections({ ...DEADLINES, idleMs });
    const { body } = await client.get(server.url, {}, unending);
    body.read(0);
    await new Promise((resolve) => setTimeout(resolve, 2.5 * idleMs));
    expect((await buffer(body)).length).toBe(9_000_000);
  });

  test('ends an answer and a body with the reason of the signal', async () => {
    let isSilent = true;
    const server = await listen((socket) => {
      if (!isSilent) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
    });
    const client = connections();
    const first = new AbortController();
    const waiting = client.get(server.url, {}, first.signal);
    first.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    isSilent = false;
    const second = new AbortController();
    const { body } = await client.get(server.url, {}, second.signal);
    second.abort(new Error('left'));
    await expect(buffer(body)).rejects.toMatchObject({ name: 'AbortError' });
  });
});
