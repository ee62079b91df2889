import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { type HttpServer, startHttpServer } from './start-http-server.ts';
import { RecordedEdge, until } from './testing/recorded-edge.ts';

describe('the requests of one connection', () => {
  let server: HttpServer;
  let socket: Socket;
  let begun: [string, ServerResponse][];
  let received: string;

  beforeEach(async () => {
    begun = [];
    received = '';
    server = await startHttpServer({
      app: (request, response) => begun.push([request.url ?? '', response]),
      host: '127.0.0.1',
      port: 0,
      idleTimeoutSeconds: 30,
      log: new RecordedEdge().log,
    });
    socket = connect({ host: '127.0.0.1', port: server.port });
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.on('error', () => undefined);
    await once(socket, 'connect');
  });
  afterEach(async () => {
    socket.destroy();
    await server.close(0);
  });

  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const answered = (): string[] => received.match(/done \/[a-z]+/g) ?? [];
  const paths = (): string[] => begun.map(([path]) => path);

  test('are begun one after the other, in their order, however they are sent', async () => {
    socket.write(get('/one') + get('/two') + get('/three'));
    for (const expected of ['/one', '/two', '/three']) {
      await until(() => paths().at(-1) === expected && answered().length === begun.length - 1);
      begun.at(-1)?.[1].end(`done ${expected}`);
    }
    await until(() => answered().length === 3);
    expect(answered()).toEqual(['done /one', 'done /two', 'done /three']);
    socket.write(get('/four'));
    await until(() => paths().length === 4);
  });

  test('that wait are never begun when the client leaves', async () => {
    socket.write(get('/one') + get('/two'));
    await until(() => begun.length === 1);
    const closed = once(begun[0]![1], 'close');
    socket.resetAndDestroy();
    await closed;
    await server.close(0);
    expect(paths()).toEqual(['/one']);
  });

  test('that wait are never begun after an answer that closes the connection', async () => {
    socket.write(get('/one') + get('/two'));
    await until(() => begun.length === 1);
    begun[0]![1].setHeader('Connection', 'close').end('done /one');
    await once(socket, 'close');
    expect(answered()).toEqual(['done /one']);
    expect(paths()).toEqual(['/one']);
  });

  test('may not wait in any number', async () => {
    const closed = once(socket, 'close');
    socket.write(get('/x').repeat(100));
    await closed;
    expect(begun).toHaveLength(1);
  });

  test('end with one that asks for another protocol', async () => {
    socket.write(
      'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
    await until(() => begun.length === 1);
    begun[0]![1].end('done /ws');
    await once(socket, 'close');
    expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: close\r\n/);
  });

  test('never open a tunnel', async () => {
    socket.write('CONNECT registry.example:443 HTTP/1.1\r\nHost: registry.example:443\r\n\r\n');
    socket.write(get('/one'));
    await once(socket, 'close');
    expect(received).toMatch(/^HTTP\/1\.1 501 [^]*\r\n\r\n$/);
    expect(begun).toHaveLength(0);
  });

  test('never end the process when a client resets the tunnel it asked for', async () => {
    for (let time = 0; time < 20; time += 1) {
      const other = connect({ host: '127.0.0.1', port: server.port });
      other.on('error', () => undefined);
      await once(other, 'connect');
      other.write('CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n');
      await new Promise((resolve) => setImmediate(resolve));
      other.resetAndDestroy();
    }
    socket.write(get('/one'));
    await until(() => begun.length === 1);
  });
});
