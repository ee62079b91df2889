import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { RawServer } from '../../plain-http/testing/raw-server.ts';
import { patternBytes, unending } from '../testing/contract-support.ts';
import { PlainRequests } from './plain-requests.ts';
import { defaultDeadlines, type S3Deadlines } from './s3-deadlines.ts';
import { sentFile } from './sent-file.ts';

interface Received {
  readonly head: string;
  body: Buffer;
}
/** What the server does as soon as it has the head of a request, or else all of it. */
type Script = 'ok' | 'refuse at the head' | 'close at the head' | 'stop reading at the head';

const BYTES = patternBytes(3_000_000, 1);
const OK = 'HTTP/1.1 200 OK\r\nETag: "tag"\r\nContent-Length: 0\r\n\r\n';
const TOO_LARGE = 'HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n';

let folder: string;
let path: string;
let server: RawServer;
let scripts: Script[];
let received: Received[];
let client: S3Client;
let plain: PlainRequests;

const serve = (socket: Socket): void => {
  let bytes = Buffer.alloc(0);
  let request: Received | undefined;
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (!request) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      request = { head: bytes.subarray(0, end).toString('latin1'), body: Buffer.alloc(0) };
      received.push(request);
      bytes = bytes.subarray(end + 4);
      const script = scripts.shift() ?? 'ok';
      if (script === 'refuse at the head') socket.write(TOO_LARGE);
      if (script === 'close at the head') socket.destroy();
      if (script === 'stop reading at the head') socket.pause();
    }
    const length = Number(/content-length: (\d+)/i.exec(request.head)?.[1]);
    request.body = bytes;
    if (bytes.length < length) return;
    request = undefined;
    bytes = Buffer.alloc(0);
    socket.write(OK);
  });
};
const put = (size = BYTES.length): Promise<unknown> =>
  plain.put(
    { Bucket: 'bucket', Key: 'a/key' },
    { bytes: sentFile({ path, size }, unending), sha256: 'f'.repeat(64), signal: unending },
  );

const requestsWithin = (deadlines: S3Deadlines): PlainRequests =>
  new PlainRequests(client, deadlines, () => undefined);

describe('A file that is sent to the store', () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twinport-sent-'));
    path = join(folder, 'file');
    await writeFile(path, BYTES);
    scripts = [];
    received = [];
    server = await new RawServer(serve).listen();
    client = new S3Client({
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${server.port}`,
      forcePathStyle: true,
      credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
    });
    plain = requestsWithin(defaultDeadlines);
  });
  afterEach(async () => {
    plain.destroy();
    client.destroy();
    await server.close();
    await rm(folder, { recursive: true });
  });

  test('goes whole and signed by its hash, one after the other over one connection', async () => {
    for (let round = 0; round < 3; round += 1) expect(await put()).toEqual({ etag: '"tag"' });
    expect(server.connections).toBe(1);
    for (const { head, body } of received) {
      expect(head).toMatch(/^PUT \/bucket\/a\/key HTTP\/1\.1\r\n/);
      expect(head).toContain(`x-amz-content-sha256: ${'f'.repeat(64)}`);
      expect(body.equals(BYTES)).toBe(true);
    }
  });

  test.each([
    ['longer', BYTES.length - 1],
    ['shorter', BYTES.length + 1],
  ])('and is %s than it was is not sent to its end', async (_how, size) => {
    expect(await put(size)).toBeUndefined();
    expect(received.every(({ body }) => body.length < size)).toBe(true);
    expect(await put()).toEqual({ etag: '"tag"' });
  });

  test('and that nobody can read is no failure of the process', async () => {
    await rm(path);
    expect(await put()).toBeUndefined();
  });

  test('is not sent on when the store refuses it before it has all', async () => {
    scripts = ['refuse at the head'];
    expect(await put()).toBeUndefined();
    expect(await put()).toEqual({ etag: '"tag"' });
    expect(server.connections).toBe(2);
  });

  test('is given up when the store takes nothing more of it, long before a slow one would be', async () => {
    // More than the system takes off the hands of a sender.
    const size = 64 * 1024 * 1024;
    await truncate(path, size);
    scripts = ['stop reading at the head'];
    plain.destroy();
    plain = requestsWithin({ ...defaultDeadlines, idleMs: 50 });
    expect(await put(size)).toBeUndefined();
  });

  test('is sent again from its beginning when the store has closed the connection meanwhile', async () => {
    expect(await put()).toEqual({ etag: '"tag"' });
    scripts = ['close at the head'];
    expect(await put()).toEqual({ etag: '"tag"' });
    expect(received.at(-1)?.body.equals(BYTES)).toBe(true);
  });
});
