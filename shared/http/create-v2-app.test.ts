import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough, Readable } from 'node:stream';

import { afterEach, describe, expect, test } from '@jest/globals';

import { type Access, OPEN_ACCESS } from '../auth/access.ts';
import type { ContentSource } from '../content/content-source.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { digestOf } from '../oci/digest.ts';
import { registryError } from '../oci/errors.ts';
import type { BlobBody } from '../storage/blob-store.ts';
import { StorageError } from '../storage/errors.ts';
import { createV2App, type V2AppOptions } from './create-v2-app.ts';
import { createPullHandlers } from './pull-handlers.ts';
import { type HttpServer, startHttpServer } from './start-http-server.ts';
import { errorCode, send, sendRaw } from './testing/http-client.ts';
import { RecordedEdge, until } from './testing/recorded-edge.ts';
import type { V2Handlers } from './v2-exchange.ts';

const digest = digestOf(Buffer.from('content'));
const servers: HttpServer[] = [];
let edge: RecordedEdge;

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});

async function start(handlers: V2Handlers, options: Partial<V2AppOptions> = {}): Promise<number> {
  edge = new RecordedEdge();
  const { log, observer } = edge;
  const app = createV2App({
    handlers,
    access: OPEN_ACCESS,
    clock: systemClock,
    log,
    observer,
    ...options,
  });
  const server = await startHttpServer({
    app,
    host: '127.0.0.1',
    port: 0,
    idleTimeoutSeconds: 30,
    log,
  });
  servers.push(server);
  return server.port;
}

/** A source of content in which only some methods are expected to be asked. */
const contentOf = (parts: Partial<ContentSource>): ContentSource => parts as ContentSource;
const noCatalog = (): Promise<never[]> => Promise.resolve([]);

const blobOf = (totalBytes: number, chunks: Iterable<Buffer>): BlobBody => ({
  totalBytes,
  offset: 0,
  length: totalBytes,
  stream: Readable.from(chunks, { objectMode: false }),
});

describe('createV2App', () => {
  test('answers the ping and the bare address, and only the ping is logged and counted', async () => {
    const port = await start(createPullHandlers(contentOf({}), noCatalog));
    const ping = await send(port, '/v2/');
    expect(ping.status).toBe(200);
    expect(ping.body.toString()).toBe('{}');
    expect((await send(port, '/')).status).toBe(200);
    await until(() => edge.requests.length > 0);
    expect(edge.requests).toMatchObject([{ operation: 'base', status: 200, isClientGone: false }]);
    expect(edge.lines).toMatchObject([{ message: 'request', fields: { operation: 'base' } }]);
  });

  test('sends the protocol headers on every answer, errors too, and the body of errors as JSON', async () => {
    const port = await start({});
    for (const path of ['/v2/', '/nowhere', '/v2/A/tags/list', '/']) {
      const { headers } = await send(port, path);
      expect(headers['docker-distribution-api-version']).toBe('registry/2.0');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['x-powered-by']).toBeUndefined();
    }
    const answer = await send(port, '/v2/A/tags/list');
    expect(answer.headers['content-type']).toBe('application/json');
    expect(errorCode(answer)).toBe('NAME_INVALID');
  });

  test('answers 405 with the methods that the role has', async () => {
    const port = await start(createPullHandlers(contentOf({}), noCatalog));
    const answer = await send(port, '/v2/a/manifests/v1', { method: 'PUT' });
    expect(answer.status).toBe(405);
    expect(errorCode(answer)).toBe('UNSUPPORTED');
    expect(answer.headers.allow).toBe('GET, HEAD');
    expect((await send(port, '/v2/a/manifests/v1', { method: 'OPTIONS' })).status).toBe(405);
  });

  test('a HEAD that fails has the headers of the error and no body', async () => {
    const content = contentOf({ manifestStat: () => Promise.resolve(undefined) });
    const port = await start(createPullHandlers(content, noCatalog));
    const answer = await send(port, '/v2/a/manifests/v1', { method: 'HEAD' });
    expect(answer.status).toBe(404);
    expect(Number(answer.headers['content-length'])).toBeGreaterThan(0);
    expect(answer.body).toHaveLength(0);
  });

  test.each([
    ['two Host headers', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n'],
    ['a Host with a path', 'GET /v2/ HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n'],
    ['an absolute target', 'GET http://evil/v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
    ['dot segments', 'GET /v2/a/../b/tags/list HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
    [
      'an escaped slash',
      'GET /v2/a%2fb/tags/list HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    ],
  ])('refuses %s with 400 before any content is asked', async (_, text) => {
    const port = await start(createPullHandlers(contentOf({}), noCatalog));
    expect(await sendRaw(port, text)).toMatch(/^HTTP\/1.1 400 /);
  });

  test('refuses an encoded body with 415', async () => {
    const port = await start({ manifestPut: () => Promise.reject(new Error('reached')) });
    const answer = await send(port, '/v2/a/manifests/v1', {
      method: 'PUT',
      headers: { 'content-encoding': 'gzip' },
      body: 'x',
    });
    expect(answer.status).toBe(415);
  });

  test('the refusal of a role comes before rights and before the body, and can be read', async () => {
    let asked = 0;
    const port = await start(
      {},
      {
        access: { allows: () => Promise.resolve((asked += 1) > 0) },
        refuse: () => registryError('UNSUPPORTED', { message: 'push elsewhere' }),
      },
    );
    const socket = connect({ host: '127.0.0.1', port });
    socket.write('PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n');
    socket.write(Buffer.alloc(1024));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 405 [^]*Connection: close[^]*push elsewhere/);
    socket.destroy();
    expect(asked).toBe(0);
    await until(() => edge.requests.length > 0);
    expect(edge.requests).toMatchObject([{ status: 405, isClientGone: false }]);
  });

  test('a small body that is refused is taken before the answer, and its connection stays', async () => {
    const port = await start({}, { refuse: () => registryError('UNSUPPORTED') });
    const socket = connect({ host: '127.0.0.1', port });
    const head = 'PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';
    for (const body of ['12345', 'abcde']) {
      socket.write(head);
      socket.write(body.slice(0, 2));
      await new Promise((resolve) => setImmediate(resolve));
      expect(edge.requests.length).toBe(body === '12345' ? 0 : 1);
      socket.write(body.slice(2));
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1.1 405 (?![^]*Connection: close)/);
    }
    socket.destroy();
  });

  test('a client that sends nothing of the small body it announced is refused all the same', async () => {
    const port = await start({}, { refuse: () => registryError('UNSUPPORTED') });
    const socket = connect({ host: '127.0.0.1', port });
    socket.write('PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 405 [^]*Connection: close/);
    socket.destroy();
  });

  test('a client that sends a large body all the same gets to read the refusal', async () => {
    const port = await start({}, { refuse: () => registryError('UNSUPPORTED') });
    const answer = await send(port, '/v2/a/manifests/v1', {
      method: 'PUT',
      body: Buffer.alloc(20 * 1024 * 1024),
    });
    expect(answer.status).toBe(405);
  });

  test('a client that waits for leave to send a refused body never gets it', async () => {
    const port = await start({}, { refuse: () => registryError('UNSUPPORTED') });
    const socket = connect({ host: '127.0.0.1', port });
    socket.write(
      'PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n',
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 405 /);
    socket.destroy();
  });

  test('asks for the right of each operation, and denies by default', async () => {
    const asked: Access[] = [];
    const handlers: V2Handlers = {
      catalogList: (exchange) => exchange.send({ status: 200 }),
      manifestDelete: (exchange) => exchange.send({ status: 202 }),
      uploadCancel: (exchange) => exchange.send({ status: 204 }),
    };
    const allows = (_: unknown, access: Access): Promise<boolean> => {
      asked.push(access);
      return Promise.resolve(false);
    };
    const port = await start(handlers, { access: { allows } });
    const uuid = '0f0e0d0c-0b0a-4908-8706-050403020100';
    const answers = [
      await send(port, '/v2/_catalog'),
      await send(port, '/v2/a/manifests/v1', { method: 'DELETE' }),
      await send(port, `/v2/a/blobs/uploads/${uuid}`, { method: 'DELETE' }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect(errorCode(answers[0]!)).toBe('DENIED');
    expect(asked).toEqual([
      { type: 'registry', name: 'catalog', action: 'list' },
      { type: 'repository', name: 'a', action: 'delete' },
      { type: 'repository', name: 'a', action: 'push' },
    ]);
  });

  test('a store that cannot answer is 503 with Retry-After and one error line', async () => {
    const content = contentOf({
      manifest: () => Promise.reject(new StorageError('record.get', 'unreachable')),
    });
    const port = await start(createPullHandlers(content, noCatalog));
    const answer = await send(port, '/v2/a/manifests/v1');
    expect(answer.status).toBe(503);
    expect(errorCode(answer)).toBe('UNAVAILABLE');
    expect(answer.headers['retry-after']).toBe('5');
    expect(edge.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test('what somebody else is to blame for is one warning that says why, and the client is not told', async () => {
    const cause = new Error('the directory cannot be asked', {
      cause: new Error('unable to verify the first certificate'),
    });
    const content = contentOf({
      manifest: () => Promise.reject(registryError('UNAVAILABLE', { message: 'later', cause })),
    });
    const port = await start(createPullHandlers(content, noCatalog));
    const answer = await send(port, '/v2/a/manifests/v1');
    expect(answer.status).toBe(503);
    expect(answer.body.toString()).not.toContain('directory');
    const [warning, ...more] = edge.lines.filter(({ level }) => level === 'warn');
    expect(more).toEqual([]);
    expect(warning?.fields['reason']).toBe(
      'later: the directory cannot be asked: unable to verify the first certificate',
    );
  });

  test('a fault while the body of a request is read is answered, not cut', async () => {
    const port = await start({
      uploadStart: async (exchange) => {
        for await (const chunk of exchange.body) {
          throw new StorageError('blob.put', `no space for ${(chunk as Buffer).length} bytes`);
        }
      },
    });
    const answer = await send(port, '/v2/a/blobs/uploads/', {
      method: 'POST',
      body: Buffer.alloc(4 * 1024 * 1024),
    });
    expect(answer.status).toBe(503);
    expect(answer.headers.connection).toBe('close');
  });

  test.each<[string, () => Iterable<Buffer>]>([
    ['breaks off', brokenChunks],
    ['is shorter than announced', () => [Buffer.alloc(10)]],
    ['is longer than announced', () => [Buffer.alloc(200_000)]],
  ])('a blob that %s kills the connection and is logged as our fault', async (_, chunks) => {
    const content = contentOf({ blob: () => Promise.resolve(blobOf(100_000, chunks())) });
    const port = await start(createPullHandlers(content, noCatalog));
    await expect(send(port, `/v2/a/blobs/${digest}`)).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    await until(() => edge.requests.length > 0);
    expect(edge.requests).toMatchObject([{ operation: 'blobGet', isClientGone: false }]);
    await until(() => edge.lines.some(({ level }) => level === 'error'));
  });

  test('a client that leaves before its body is read is 499, and only the reader hears of it', async () => {
    let outcome: unknown;
    const begun = Promise.withResolvers<undefined>();
    const port = await start({
      uploadAppend: async ({ body, signal }) => {
        const left = once(signal, 'abort');
        begun.resolve(undefined);
        // The body is asked for, as by whoever looks at its headers, and read only later.
        body.pause();
        await left;
        await new Promise((resolve) => setImmediate(resolve));
        outcome = await body.toArray().catch((error: unknown) => error);
      },
    });
    const client = connect(port, '127.0.0.1');
    const id = '00000000-0000-0000-0000-000000000000';
    client.write(
      `PATCH /v2/a/blobs/uploads/${id} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc`,
    );
    await begun.promise;
    client.destroy();
    await until(() => outcome !== undefined);
    expect(outcome).toBeInstanceOf(Error);
    await until(() => edge.requests.length > 0);
    expect(edge.requests).toMatchObject([{ operation: 'uploadAppend', isClientGone: true }]);
  });

  test('a client that leaves in the middle of a blob is 499, no error, and the source is closed', async () => {
    const stream = new Readable({
      read() {
        this.push(Buffer.alloc(64 * 1024));
      },
    });
    const length = 1e12;
    const body = { totalBytes: length, offset: 0, length, stream };
    let seen: AbortSignal | undefined;
    const content = contentOf({
      blob: (...[, , , signal]) => {
        seen = signal;
        return Promise.resolve(body);
      },
    });
    const port = await start(createPullHandlers(content, noCatalog));
    const socket = connect({ host: '127.0.0.1', port });
    socket.write(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await once(socket, 'data');
    socket.destroy();
    await until(() => edge.requests.length > 0 && stream.destroyed);
    expect(edge.requests).toMatchObject([{ status: 499, isClientGone: true }]);
    expect(edge.lines.map(({ level }) => level)).toEqual(['info']);
    expect(seen?.aborted).toBe(true);
  });

  test('a client that resets the connection with requests waiting on it is no fault', async () => {
    const opened: Readable[] = [];
    const content = contentOf({
      blob: () => {
        const stream = new Readable({
          read() {
            this.push(Buffer.alloc(64 * 1024));
          },
        });
        opened.push(stream);
        return Promise.resolve({ totalBytes: 1e12, offset: 0, length: 1e12, stream });
      },
    });
    const port = await start(createPullHandlers(content, noCatalog));
    const socket = connect({ host: '127.0.0.1', port });
    socket.write(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(20));
    await once(socket, 'data');
    socket.resetAndDestroy();
    await until(() => edge.requests.length > 0 && opened.every(({ destroyed }) => destroyed));
    expect(opened).toHaveLength(1);
    expect(edge.requests).toMatchObject([{ status: 499, isClientGone: true }]);
    expect(edge.lines.map(({ level }) => level)).toEqual(['info']);
  });

  test('a blob is announced before its first byte is there, and cut off when that never comes', async () => {
    const streams = [new PassThrough(), new PassThrough()] as const;
    const waiting: Readable[] = [...streams];
    const content = contentOf({
      blob: () => Promise.resolve({ ...blobOf(5, []), stream: waiting.shift()! }),
    });
    const port = await start(createPullHandlers(content, noCatalog));
    const open = async (): Promise<{ answer: () => string; ended: Promise<unknown> }> => {
      const socket = connect({ host: '127.0.0.1', port });
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
      const ended = once(socket, 'close');
      socket.write(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      await until(() => answer.includes('\r\n\r\n'));
      return { answer: () => answer, ended };
    };
    const whole = await open();
    expect(whole.answer()).toMatch(/^HTTP\/1\.1 200 .*\r\nContent-Length: 5\r\n.*\r\n\r\n$/is);
    expect(whole.answer()).not.toMatch(/transfer-encoding/i);
    streams[0].end('hello');
    await whole.ended;
    expect(whole.answer()).toMatch(/\r\n\r\nhello$/);

    const broken = await open();
    streams[1].destroy(new StorageError('blob.open', 'the connection to the store broke'));
    await broken.ended;
    expect(broken.answer()).toMatch(/\r\n\r\n$/);
    await until(() => edge.requests.length === 2);
    expect(edge.requests[1]).toMatchObject({ status: 200, isClientGone: false });
  });

  test('warnings of the content reach the client as one plain header', async () => {
    const stat = { digest, mediaType: 'a/b', size: 3, warning: 'stale "é"\r\nX: y' };
    const content = contentOf({ manifestStat: () => Promise.resolve(stat) });
    const port = await start(createPullHandlers(content, noCatalog));
    const answer = await send(port, '/v2/a/manifests/v1', { method: 'HEAD' });
    expect(answer.headers.warning).toBe(`299 - "stale '?'??X: y"`);
    expect(answer.headers['content-length']).toBe('3');
  });
});

function* brokenChunks(): Generator<Buffer> {
  yield Buffer.alloc(50_000);
  throw new StorageError('blob.open', 'the connection to the store broke');
}
