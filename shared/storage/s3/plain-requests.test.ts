import { once } from 'node:events';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

import { S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { TLS_PAIRS } from '../../http/testing/tls-pairs.ts';
import { RawServer, type RawServerTls } from '../../plain-http/testing/raw-server.ts';
import { type Script, ScriptedRequests } from '../../plain-http/testing/scripted-requests.ts';
import { defaultDeadlines } from './s3-deadlines.ts';
import { PlainRequests } from './plain-requests.ts';

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

let server: RawServer;
let asked: ScriptedRequests;
let client: S3Client;
let plain: PlainRequests;
let counted: number;

const listen = async (tls?: RawServerTls): Promise<void> => {
  server = await new RawServer(asked.serve, tls).listen();
  client = new S3Client({
    region: 'us-east-1',
    endpoint: `${tls ? 'https' : 'http'}://127.0.0.1:${server.port}`,
    forcePathStyle: true,
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
  });
  plain = readsWithin(defaultDeadlines.firstByteMs);
};
const readsWithin = (firstByteMs: number): PlainRequests =>
  new PlainRequests(client, { ...defaultDeadlines, firstByteMs }, () => (counted += 1));
const read = (
  maxBytes = 1000,
  signal = new AbortController().signal,
): Promise<Buffer | 'absent' | undefined> =>
  plain.get({ Bucket: 'bucket', Key: 'a/key' }, { signal, maxBytes });

describe('Plain reads', () => {
  beforeEach(async () => {
    asked = new ScriptedRequests();
    counted = 0;
    await listen();
  });
  afterEach(async () => {
    plain.destroy();
    client.destroy();
    await server.close();
  });

  test('bring the object, one after the other over one connection', async () => {
    asked.scripts = [ok];
    for (let round = 0; round < 5; round += 1) expect(await read()).toEqual(object);
    expect(server.connections).toBe(1);
    expect(counted).toBe(5);
    expect(asked.seen[0]).toMatch(/^GET \/bucket\/a\/key HTTP\/1\.1\r\n/);
    expect(asked.seen[0]).toContain('authorization: AWS4-HMAC-SHA256 Credential=key/');
  });

  test('bring it in whatever pieces it comes, and each into memory of its own', async () => {
    const large = Buffer.alloc(300_000, 'large');
    const whole = answer('200 OK', large);
    asked.scripts = [
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
    asked.scripts = [answering(answer('200 OK', ''))];
    expect(await read()).toEqual(Buffer.alloc(0));
  });

  test('are made at once over several connections, which are kept', async () => {
    asked.scripts = [ok];
    await Promise.all(Array.from({ length: 8 }, () => read()));
    await Promise.all(Array.from({ length: 8 }, () => read()));
    expect(server.connections).toBeLessThanOrEqual(8);
    expect(counted).toBe(16);
  });

  test('know that there is no object when the store says exactly that', async () => {
    asked.scripts = [answering(answer('404 Not Found', errorBody('NoSuchKey')))];
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
    asked.scripts = [answering(bytes), ok];
    expect(await read()).toBeUndefined();
    expect(counted).toBe(0);
    expect(await read()).toEqual(object);
  });

  test('say nothing of a body that breaks off', async () => {
    asked.scripts = [(socket) => socket.end(answer('200 OK', object).subarray(0, -1)), ok];
    expect(await read()).toBeUndefined();
    expect(await read()).toEqual(object);
  });

  test('never take for an answer what comes after one', async () => {
    const twice = answer('200 OK', 'not what was asked for');
    asked.scripts = [answering(Buffer.concat([answer('200 OK', object), twice])), ok];
    expect(await read()).toEqual(object);
    expect(await read()).toEqual(object);
    expect(server.connections).toBe(2);
  });

  test('ask again over a new connection when the store has closed the one they took up', async () => {
    asked.scripts = [ok, (socket) => socket.destroy(), ok];
    expect(await read()).toEqual(object);
    expect(await read()).toEqual(object);
    expect(asked.seen).toHaveLength(3);
    expect(server.connections).toBe(2);
  });

  test.each([['new', [silent]] as const, ['kept', [ok, silent]] as const])(
    'end when a store is silent on a %s connection, and free it',
    async (_name, given) => {
      asked.scripts = [...given];
      plain.destroy();
      plain = readsWithin(FIRST_BYTE_MS);
      for (let answered = 1; answered < given.length; answered += 1) await read();
      const startedMs = performance.now();
      expect(await read()).toBeUndefined();
      expect(performance.now() - startedMs).toBeGreaterThan(FIRST_BYTE_MS / 2);
      expect(asked.seen).toHaveLength(given.length);
      await Promise.all([...server.sockets].map((socket) => once(socket, 'close')));
    },
  );

  test('end at once when their signal aborts, which is no failure', async () => {
    asked.scripts = [silent];
    for (let round = 0; round < 6; round += 1) {
      const controller = new AbortController();
      const reading = read(1000, controller.signal);
      await once(server.server, 'connection');
      controller.abort();
      expect(await reading).toBeUndefined();
    }
    asked.scripts = [ok];
    expect(await read()).toEqual(object);
  });

  test('leave a store alone that never answers plainly', async () => {
    asked.scripts = [answering(answer('503 Slow Down', errorBody('SlowDown')))];
    for (let round = 0; round < 20; round += 1) expect(await read()).toBeUndefined();
    expect(asked.seen).toHaveLength(5);
  });

  test('say nothing when nobody listens', async () => {
    const { port } = server;
    await server.close();
    expect(await read()).toBeUndefined();
    await server.listen(port);
    asked.scripts = [ok];
    expect(await read()).toEqual(object);
  });

  test('work over TLS, with a certificate that is checked', async () => {
    await server.close();
    client.destroy();
    const { certificate: cert, key } = TLS_PAIRS.loopback;
    await listen({ cert, key });
    asked.scripts = [ok];
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
