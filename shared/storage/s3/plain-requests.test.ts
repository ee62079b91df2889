import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  getCACertificates,
  setDefaultCACertificates,
} from 'node:tls';

import { S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { TLS_PAIRS } from '../../http/testing/tls-pairs.ts';
import { defaultDeadlines } from './s3-deadlines.ts';
import { PlainRequests } from './plain-requests.ts';

/** What the server does with each request in turn; the last one serves all that follow. */
type Script = (socket: Socket) => void;

const object = Buffer.from('what is stored');
/** Where the store is to be given up. */
const FIRST_BYTE_MS = 1_000;
const answer = (status: string, body: string | Buffer, ...lines: string[]): Buffer =>
  Buffer.concat([
    Buffer.from(
      [`HTTP/1.1 ${status}`, `Content-Length: ${body.length}`, ...lines, '', ''].join('\r\n'),
    ),
    Buffer.from(body),
  ]);
const answering =
  (bytes: Buffer): Script =>
  (socket) =>
    socket.write(bytes);
const ok = answering(answer('200 OK', object));
const silent: Script = () => undefined;
const errorBody = (code: string): string => `<Error><Code>${code}</Code></Error>`;

let server: Server;
let sockets: Set<Socket>;
let connections: number;
let requests: string[];
let scripts: Script[];
let client: S3Client;
let plain: PlainRequests;
let counted: number;

const listen = async (made: Server, scheme = 'http'): Promise<void> => {
  server = made;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new S3Client({
    region: 'us-east-1',
    endpoint: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forcePathStyle: true,
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
  });
  plain = readsWithin(defaultDeadlines.firstByteMs);
};
const readsWithin = (firstByteMs: number): PlainRequests =>
  new PlainRequests(client, { ...defaultDeadlines, firstByteMs }, () => (counted += 1));
const serve = (socket: Socket): void => {
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
      requests.push(text.slice(0, end));
      text = text.slice(end + 4);
      const script = scripts.length > 1 ? scripts.shift() : scripts[0];
      script?.(socket);
    }
  });
};
const read = (
  maxBytes = 1000,
  signal = new AbortController().signal,
): Promise<Buffer | 'absent' | undefined> =>
  plain.get({ Bucket: 'bucket', Key: 'a/key' }, { signal, maxBytes });

describe('Plain reads', () => {
  beforeEach(async () => {
    sockets = new Set();
    connections = 0;
    requests = [];
    scripts = [];
    counted = 0;
    await listen(createServer(serve));
  });
  afterEach(async () => {
    plain.destroy();
    client.destroy();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });

  test('bring the object, one after the other over one connection', async () => {
    scripts = [ok];
    for (let round = 0; round < 5; round += 1) expect(await read()).toEqual(object);
    expect(connections).toBe(1);
    expect(counted).toBe(5);
    expect(requests[0]).toMatch(/^GET \/bucket\/a\/key HTTP\/1\.1\r\n/);
    expect(requests[0]).toContain('authorization: AWS4-HMAC-SHA256 Credential=key/');
  });

  test('bring it in whatever pieces it comes, and each into memory of its own', async () => {
    const large = Buffer.alloc(300_000, 'large');
    const whole = answer('200 OK', large);
    scripts = [
      (socket) => {
        for (const byte of whole.subarray(0, 50)) socket.write(Buffer.of(byte));
        setTimeout(() => socket.write(whole.subarray(50)), 20);
      },
      ok,
    ];
    const first = await read(large.length);
    expect(await read()).toEqual(object);
    expect(large.equals(first as Buffer)).toBe(true);
  });

  test('bring an empty object', async () => {
    scripts = [answering(answer('200 OK', ''))];
    expect(await read()).toEqual(Buffer.alloc(0));
  });

  test('are made at once over several connections, which are kept', async () => {
    scripts = [ok];
    await Promise.all(Array.from({ length: 8 }, () => read()));
    await Promise.all(Array.from({ length: 8 }, () => read()));
    expect(connections).toBeLessThanOrEqual(8);
    expect(counted).toBe(16);
  });

  test('know that there is no object when the store says exactly that', async () => {
    scripts = [answering(answer('404 Not Found', errorBody('NoSuchKey')))];
    expect(await read()).toBe('absent');
    expect(counted).toBe(1);
  });

  test.each([
    ['a bucket that is missing', answer('404 Not Found', errorBody('NoSuchBucket'))],
    ['a 404 of somebody else', answer('404 Not Found', 'not found')],
    ['a refusal', answer('403 Forbidden', errorBody('AccessDenied'))],
    ['a store that is busy', answer('503 Slow Down', errorBody('SlowDown'))],
    ['a redirect', answer('307 Temporary Redirect', '', 'Location: http://127.0.0.1:1/')],
    ['a part', answer('206 Partial Content', 'what', 'Content-Range: bytes 0-3/14')],
    ['more than is allowed', answer('200 OK', Buffer.alloc(1001))],
    ['far more than is allowed', answer('200 OK', Buffer.alloc(100_000))],
    [
      'a body in chunks',
      Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwhat\r\n0\r\n\r\n'),
    ],
    ['no HTTP', Buffer.from('what is this?\r\n\r\n')],
  ])('say nothing of %s', async (_name, bytes) => {
    scripts = [answering(bytes), ok];
    expect(await read()).toBeUndefined();
    expect(counted).toBe(0);
    expect(await read()).toEqual(object);
  });

  test('say nothing of a body that breaks off', async () => {
    scripts = [(socket) => socket.end(answer('200 OK', object).subarray(0, -1)), ok];
    expect(await read()).toBeUndefined();
    expect(await read()).toEqual(object);
  });

  test('never take for an answer what comes after one', async () => {
    const twice = answer('200 OK', 'not what was asked for');
    scripts = [answering(Buffer.concat([answer('200 OK', object), twice])), ok];
    expect(await read()).toEqual(object);
    expect(await read()).toEqual(object);
    expect(connections).toBe(2);
  });

  test('ask again over a new connection when the store has closed the one they took up', async () => {
    scripts = [ok, (socket) => socket.destroy(), ok];
    expect(await read()).toEqual(object);
    expect(await read()).toEqual(object);
    expect(requests).toHaveLength(3);
    expect(connections).toBe(2);
  });

  test.each([['new', [silent]] as const, ['kept', [ok, silent]] as const])(
    'end when a store is silent on a %s connection, and free it',
    async (_name, given) => {
      scripts = [...given];
      plain.destroy();
      plain = readsWithin(FIRST_BYTE_MS);
      for (let answered = 1; answered < given.length; answered += 1) await read();
      const startedMs = performance.now();
      expect(await read()).toBeUndefined();
      expect(performance.now() - startedMs).toBeGreaterThan(FIRST_BYTE_MS / 2);
      expect(requests).toHaveLength(given.length);
      await Promise.all([...sockets].map((socket) => once(socket, 'close')));
    },
  );

  test('end at once when their signal aborts, which is no failure', async () => {
    scripts = [silent];
    for (let round = 0; round < 6; round += 1) {
      const controller = new AbortController();
      const reading = read(1000, controller.signal);
      await once(server, 'connection');
      controller.abort();
      expect(await reading).toBeUndefined();
    }
    scripts = [ok];
    expect(await read()).toEqual(object);
  });

  test('leave a store alone that never answers plainly', async () => {
    scripts = [answering(answer('503 Slow Down', errorBody('SlowDown')))];
    for (let round = 0; round < 20; round += 1) expect(await read()).toBeUndefined();
    expect(requests).toHaveLength(5);
  });

  test('say nothing when nobody listens', async () => {
    const port = (server.address() as AddressInfo).port;
    server.close();
    await once(server, 'close');
    expect(await read()).toBeUndefined();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    scripts = [ok];
    expect(await read()).toEqual(object);
  });

  test('work over TLS, with a certificate that is checked', async () => {
    server.close();
    await once(server, 'close');
    client.destroy();
    const { certificate: cert, key } = TLS_PAIRS.loopback;
    await listen(createTlsServer({ cert, key }, serve), 'https');
    scripts = [ok];
    expect(await read()).toBeUndefined();
    const authorities = getCACertificates('default');
    setDefaultCACertificates([...authorities, cert]);
    try {
      expect(await read()).toEqual(object);
      expect(await read()).toEqual(object);
    } finally {
      setDefaultCACertificates(authorities);
    }
  });
});
