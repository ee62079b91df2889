import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { TLS_PAIRS } from '../../http/testing/tls-pairs.ts';
import { LentBody } from '../../plain-http/lent-body.ts';
import { RawServer } from '../../plain-http/testing/raw-server.ts';
import { type Script, ScriptedRequests } from '../../plain-http/testing/scripted-requests.ts';
import { PullHttpHandler } from './pull-http-handler.ts';
import { defaultDeadlines } from './s3-deadlines.ts';

type Request = Parameters<PullHttpHandler['handle']>[0];
type Options = Parameters<PullHttpHandler['handle']>[1];

const large = randomBytes(3_000_000);
const deadlines = { ...defaultDeadlines, connectMs: 2_000, firstByteMs: 2_000 };
const head = (length: number, ...lines: string[]): string =>
  ['HTTP/1.1 200 OK', `Content-Length: ${length}`, ...lines, '', ''].join('\r\n');
const answering =
  (...parts: (string | Buffer)[]): Script =>
  (socket) => {
    for (const part of parts) socket.write(part);
  };

let server: RawServer;
let asked: ScriptedRequests;
let handler: PullHttpHandler;

const ask = async (path = '/', options?: Options, protocol = 'http:') => {
  const { port } = server;
  const request = {
    method: 'GET',
    protocol,
    hostname: '127.0.0.1',
    port,
    path,
    query: {},
    headers: { host: `127.0.0.1:${port}` },
  };
  const { response } = await handler.handle(request as unknown as Request, options);
  const { statusCode, headers } = response;
  return { statusCode, headers, body: response.body as Readable };
};
const textOf = async (path?: string): Promise<string> =>
  (await buffer((await ask(path)).body)).toString('latin1');
const until = async (isTrue: () => boolean): Promise<void> => {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
};

beforeEach(async () => {
  asked = new ScriptedRequests();
  handler = new PullHttpHandler(deadlines, 4);
  server = await new RawServer(asked.serve).listen();
});
afterEach(async () => {
  handler.destroy();
  await server.close();
});

describe('one connection', () => {
  test('serves one answer after the other, each with its status, fields and bytes', async () => {
    asked.scripts = [
      answering(head(3, 'ETag: "x"'), 'abc'),
      answering('HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone'),
      answering(head(0)),
      answering(head(large.length), large),
    ];
    const first = await ask('/a');
    expect(first).toMatchObject({ statusCode: 200, headers: { etag: '"x"' } });
    expect((await buffer(first.body)).toString()).toBe('abc');
    const second = await ask('/b');
    expect(second.statusCode).toBe(404);
    expect((await buffer(second.body)).toString()).toBe('none');
    expect(await textOf('/c')).toBe('');
    expect((await buffer((await ask('/d')).body)).equals(large)).toBe(true);
    expect(server.connections).toBe(1);
    expect(asked.seen.map((request) => request.split(' ')[1])).toEqual(['/a', '/b', '/c', '/d']);
  });

  test('may bring a head byte by byte', async () => {
    asked.scripts = [
      (socket) => {
        const bytes = Array.from(Buffer.from(`${head(2)}ok`), (byte) => Buffer.of(byte));
        const next = (): void => {
          const one = bytes.shift();
          if (one !== undefined) socket.write(one, () => setImmediate(next));
        };
        next();
      },
    ];
    expect(await textOf()).toBe('ok');
  });

  test.each([
    ['that the answer ends', head(2, 'Connection: close'), 'ok'],
    ['on which more came than was announced', head(2), 'okHTTP/1.1 200 OK\r\n'],
  ])('%s is not used again', async (_what, ...parts) => {
    asked.scripts = [answering(...parts)];
    expect(await textOf()).toBe('ok');
    expect(await textOf()).toBe('ok');
    expect(server.connections).toBe(2);
  });

  test('on which more came after a large body is not used again, and the body is right', async () => {
    asked.scripts = [answering(head(large.length), Buffer.concat([large, Buffer.from('junk')]))];
    for (const count of [1, 2]) {
      expect((await buffer((await ask()).body)).equals(large)).toBe(true);
      expect(server.connections).toBe(count);
    }
  });

  test('on which something comes unasked is closed', async () => {
    asked.scripts = [answering(head(2), 'ok')];
    expect(await textOf()).toBe('ok');
    for (const socket of server.sockets) socket.write(`${head(4)}evil`);
    await until(() => server.sockets.size === 0);
    expect(await textOf()).toBe('ok');
  });

  test('that the store closed while it was idle is not used again', async () => {
    asked.scripts = [answering(head(2), 'ok')];
    expect(await textOf()).toBe('ok');
    for (const socket of server.sockets) socket.end();
    await until(() => server.sockets.size === 0);
    expect(await textOf()).toBe('ok');
  });
});

describe('answers that are not plain', () => {
  const bodies: [string, string][] = [
    ['chunks', 'HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
    ['an interim answer', `HTTP/1.1 100 Continue\r\n\r\n${head(2)}ok`],
    ['an older version', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ];
  test.each(bodies)('are read by the ordinary parser: %s', async (_what, text) => {
    asked.scripts = [answering(text)];
    expect(await textOf()).toBe('ok');
    await until(() => server.sockets.size === 0);
    expect(asked.seen).toHaveLength(1);
  });

  test('do not go on for ever when an interim answer is all that comes', async () => {
    asked.scripts = [answering('HTTP/1.1 100 Continue\r\n\r\n')];
    await expect(ask('/', { requestTimeout: 50 })).rejects.toMatchObject({ name: 'TimeoutError' });
    await until(() => server.sockets.size === 0);
  });

  test('may be framed by the end of the connection', async () => {
    asked.scripts = [(socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it')];
    expect(await textOf()).toBe('all of it');
  });

  test('of any size come whole', async () => {
    const chunk = `${large.length.toString(16)}\r\n`;
    asked.scripts = [
      answering(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
        chunk,
        large,
        '\r\n0\r\n\r\n',
      ),
    ];
    expect((await buffer((await ask()).body)).equals(large)).toBe(true);
  });

  test.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.9\r\n\r\n'],
    ['two lengths', head(2, 'Content-Length: 3')],
    ['a length and chunks', head(2, 'Transfer-Encoding: chunked')],
    ['a head without end', head(2, `X: ${'a'.repeat(70_000)}`)],
    ['a bare line feed', head(2, 'X: a\nContent-Length: 4')],
  ])('of no sense are errors: %s', async (_what, text) => {
    asked.scripts = [answering(text, 'ok')];
    await expect(ask().then(({ body }) => buffer(body))).rejects.toThrow();
    await until(() => server.sockets.size === 0);
  });
});

describe('a body', () => {
  test('that is cut breaks with an error, and so does one that is cut at once', async () => {
    asked.scripts = [(socket) => socket.end(`${head(9)}abc`), (socket) => socket.end(head(9))];
    for (const path of ['/a', '/b']) {
      await expect(ask(path).then(({ body }) => buffer(body))).rejects.toThrow();
    }
  });

  test('that nobody wants frees its connection', async () => {
    asked.scripts = [answering(head(large.length), large)];
    const { body } = await ask();
    body.destroy();
    await until(() => server.sockets.size === 0);
  });

  test('whose signal aborts is broken off', async () => {
    asked.scripts = [answering(head(large.length), large.subarray(9))];
    const controller = new AbortController();
    const { body } = await ask('/', { abortSignal: controller.signal });
    const reading = expect(buffer(body)).rejects.toMatchObject({ name: 'AbortError' });
    controller.abort();
    await reading;
    await until(() => server.sockets.size === 0);
  });

  test('is lent piece by piece in memory that stays as it is until the next is asked for', async () => {
    asked.scripts = [answering(head(large.length), large)];
    const lent = await Promise.all(
      [1, 2, 3].map(async () => {
        const { body } = await ask();
        if (!(body instanceof LentBody)) throw new Error('it lends nothing');
        const pieces: Buffer[] = [];
        let at = 0;
        body.lend((piece) => {
          const wanted = large.subarray(at, (at += piece.length));
          setImmediate(() => {
            pieces.push(Buffer.from(piece));
            expect(piece.equals(wanted)).toBe(true);
            body.more();
          });
          return false;
        });
        await once(body, 'end');
        return Buffer.concat(pieces);
      }),
    );
    expect(lent.map((bytes) => bytes.equals(large))).toEqual([true, true, true]);
  });

  test('that is taken slowly is not read ahead of its reader', async () => {
    const huge = Buffer.alloc(64_000_000);
    let isSent = false;
    asked.scripts = [
      (socket) => {
        socket.write(head(huge.length));
        socket.write(huge, () => (isSent = true));
      },
    ];
    const { body } = await ask();
    if (!(body instanceof LentBody)) throw new Error('it lends nothing');
    let taken = 0;
    const held = Promise.withResolvers<undefined>();
    body.lend((piece) => {
      taken += piece.length;
      held.resolve(undefined);
      return false;
    });
    await held.promise;
    // What another answer needs to come and go is enough for this one to run on, if it would.
    asked.scripts = [answering(head(large.length), large)];
    expect((await buffer((await ask()).body)).equals(large)).toBe(true);
    expect(taken).toBeLessThan(300_000);
    expect(isSent).toBe(false);
    body.destroy();
  });
});

describe('deadlines and limits', () => {
  test('a store that says nothing is given up', async () => {
    asked.scripts = [() => undefined];
    await expect(ask('/', { requestTimeout: 50 })).rejects.toMatchObject({ name: 'TimeoutError' });
    await until(() => server.sockets.size === 0);
  });

  test('so is one that says no more than half a head', async () => {
    asked.scripts = [answering('HTTP/1.1 200 OK\r\nConte')];
    await expect(ask('/', { requestTimeout: 50 })).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  test('a connection that breaks before the answer has a name that is tried again', async () => {
    asked.scripts = [(socket) => socket.destroy()];
    await expect(ask()).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  test('an abort ends the waiting', async () => {
    asked.scripts = [() => undefined];
    const controller = new AbortController();
    const asking = expect(ask('/', { abortSignal: controller.signal })).rejects.toThrow('aborted');
    await until(() => asked.seen.length === 1);
    controller.abort();
    await asking;
    await expect(ask('/', { abortSignal: controller.signal })).rejects.toThrow('aborted');
    expect(asked.seen).toHaveLength(1);
  });

  test('no more connections are opened than allowed, and idle ones serve again', async () => {
    asked.scripts = [answering(head(2), 'ok')];
    const open = await Promise.all([1, 2, 3, 4].map(() => ask()));
    await expect(ask()).rejects.toMatchObject({ name: 'TimeoutError' });
    for (const { body } of open) await buffer(body);
    expect(await textOf()).toBe('ok');
    expect(server.connections).toBe(4);
  });
});

describe('over TLS', () => {
  const { certificate: cert, key } = TLS_PAIRS.loopback;
  let trusted: string[];

  beforeEach(async () => {
    await server.close();
    server = await new RawServer(asked.serve, { cert, key }).listen();
    asked.scripts = [answering(head(large.length), large)];
    trusted = getCACertificates('default');
  });
  afterEach(() => {
    setDefaultCACertificates(trusted);
  });

  test('bodies come as they do without', async () => {
    setDefaultCACertificates([...trusted, cert]);
    for (const path of ['/a', '/b']) {
      expect((await buffer((await ask(path, {}, 'https:')).body)).equals(large)).toBe(true);
    }
    expect(server.connections).toBe(1);
  });

  test('answers that are not plain are read as well', async () => {
    setDefaultCACertificates([...trusted, cert]);
    asked.scripts = [
      answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    ];
    expect((await buffer((await ask('/', {}, 'https:')).body)).toString()).toBe('ok');
  });

  test('a store whose certificate nobody vouches for is not asked', async () => {
    await expect(ask('/', {}, 'https:')).rejects.toMatchObject({
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
    expect(asked.seen).toEqual([]);
  });
});
