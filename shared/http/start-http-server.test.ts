import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { type HttpServerOptions, startHttpServer } from './start-http-server.ts';
import { send } from './testing/http-client.ts';
import { RecordedEdge, until } from './testing/recorded-edge.ts';
import { serverThatAnswers } from './testing/server-that-answers.ts';
import { TLS_PAIRS } from './testing/tls-pairs.ts';

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

const optionsFor = (app: Listener, more: Partial<HttpServerOptions> = {}): HttpServerOptions => ({
  app,
  host: '127.0.0.1',
  port: 0,
  idleTimeoutSeconds: 30,
  log: new RecordedEdge().log,
  ...more,
});

const answerOk: Listener = (_, response) => {
  response.end('ok');
};

describe('startHttpServer', () => {
  test('rejects when the port is taken', async () => {
    const server = await startHttpServer(optionsFor(answerOk));
    const second = startHttpServer(optionsFor(answerOk, { port: server.port }));
    await expect(second).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await server.close(0);
  });

  test('outlives connections that cannot be accepted', async () => {
    const edge = new RecordedEdge();
    const server = await startHttpServer(optionsFor(answerOk, { log: edge.log }));
    const serving = await serverThatAnswers(() => send(server.port, '/'));
    for (const code of ['EMFILE', 'ENFILE']) {
      serving.emit('error', Object.assign(new Error('accept'), { code }));
    }
    expect((await send(server.port, '/')).status).toBe(200);
    expect(edge.lines.map(({ message }) => message)).toEqual(
      Array(2).fill('a connection could not be accepted'),
    );
    await server.close(0);
  });

  test('lets a running request end when it closes, and takes no new ones', async () => {
    const running: ServerResponse[] = [];
    const server = await startHttpServer(optionsFor((_, response) => running.push(response)));
    const answer = send(server.port, '/');
    await until(() => running.length === 1);
    const closed = server.close(10_000);
    await expect(send(server.port, '/')).rejects.toThrow('ECONNREFUSED');
    running[0]?.end('done');
    expect((await answer).body.toString()).toBe('done');
    await closed;
  });

  test('cuts requests that outlast the grace time', async () => {
    let isRunning = false;
    const server = await startHttpServer(
      optionsFor(() => {
        isRunning = true;
      }),
    );
    const answer = expect(send(server.port, '/')).rejects.toThrow();
    await until(() => isRunning);
    await server.close(10);
    await answer;
  });

  test('closes connections kept alive as soon as they are idle', async () => {
    const server = await startHttpServer(optionsFor(answerOk));
    const socket = connect({ host: '127.0.0.1', port: server.port });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'data');
    const ended = once(socket, 'close');
    await server.close(60_000);
    await ended;
  });

  test('closes a connection whose client owes bytes for too long, but not one that waits for us', async () => {
    const waiting: ServerResponse[] = [];
    const app: Listener = (request, response) => {
      if (request.method === 'PUT') request.resume();
      else waiting.push(response);
    };
    const server = await startHttpServer(optionsFor(app, { idleTimeoutSeconds: 0.2 }));
    const patient = send(server.port, '/');
    const silent = connect({ host: '127.0.0.1', port: server.port });
    silent.write('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    await once(silent, 'close');
    const half = connect({ host: '127.0.0.1', port: server.port });
    half.write('GET / HT');
    await once(half, 'close');
    waiting[0]?.end('late');
    expect((await patient).body.toString()).toBe('late');
    await server.close(0);
  });

  test('cuts a client that sends a byte now and then, but not one that sends at a fair speed', async () => {
    const app: Listener = (request, response) => {
      request.resume();
      request.once('end', () => response.end('taken'));
    };
    const server = await startHttpServer(optionsFor(app, { idleTimeoutSeconds: 1.5 }));
    const crawling = connect({ host: '127.0.0.1', port: server.port });
    crawling.on('error', () => undefined);
    crawling.write('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    const fair = connect({ host: '127.0.0.1', port: server.port });
    // Once it has its answer it may be cut for being idle, before the other one is.
    fair.on('error', () => undefined);
    fair.write('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n');
    let sent = 0;
    const drip = setInterval(() => {
      crawling.write('x');
      if (sent < 50_000) fair.write(Buffer.alloc(1000));
      sent += 1000;
    }, 50);
    const cut = once(crawling, 'close');
    const answer: unknown = await once(fair, 'data');
    await cut;
    clearInterval(drip);
    expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /);
    fair.destroy();
    await server.close(0);
  });

  test('cuts a client that takes a byte now and then', async () => {
    const cut: boolean[] = [];
    const app: Listener = (_, response) => {
      response.once('close', () => cut.push(response.writableFinished));
      response.end(Buffer.alloc(32 * 1024 * 1024));
    };
    const server = await startHttpServer(optionsFor(app, { idleTimeoutSeconds: 0.3 }));
    const socket = connect({ host: '127.0.0.1', port: server.port });
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const sip = setInterval(() => void socket.read(1), 10);
    await until(() => cut.length === 1);
    clearInterval(sip);
    expect(cut).toEqual([false]);
    socket.destroy();
    await server.close(0);
  });
});

describe('startHttpServer with TLS', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twinport-tls-'));
    for (const [name, { certificate, key }] of Object.entries(TLS_PAIRS)) {
      await writeFile(join(folder, `${name}.crt`), certificate);
      await writeFile(join(folder, `${name}.key`), key);
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const use = async (name: string): Promise<void> => {
    for (const end of ['crt', 'key']) {
      await unlink(join(folder, `current.${end}`)).catch(() => undefined);
      await symlink(join(folder, `${name}.${end}`), join(folder, `current.${end}`));
    }
  };

  const commonName = async (port: number): Promise<string> => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return String(subject.CN);
  };

  test('takes a certificate that was swapped, and keeps it when the next pair is broken', async () => {
    await use('one');
    const edge = new RecordedEdge();
    const tls = {
      certificateFile: join(folder, 'current.crt'),
      keyFile: join(folder, 'current.key'),
    };
    const server = await startHttpServer(
      optionsFor(answerOk, { tls, tlsReloadMs: 10, log: edge.log }),
    );
    expect(await commonName(server.port)).toBe('one');
    await use('two');
    await until(async () => (await commonName(server.port)) === 'two');
    await unlink(join(folder, 'current.crt'));
    await writeFile(join(folder, 'current.crt'), 'not a certificate');
    await until(() =>
      edge.lines.some(({ level, message }) => level === 'warn' && message.includes('stay in use')),
    );
    expect(await commonName(server.port)).toBe('two');
    await server.close(0);
  });

  test('rejects when the files cannot be read', async () => {
    const tls = { certificateFile: join(folder, 'no.crt'), keyFile: join(folder, 'no.key') };
    await expect(startHttpServer(optionsFor(answerOk, { tls }))).rejects.toThrow('ENOENT');
  });
});
