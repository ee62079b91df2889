import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { isFullRun } from '../support/sizes.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { call } from './call-table.ts';
import { manifestType } from './wire-content.ts';

const MIB = 1024 * 1024;
/** What the others may have to wait while clients are slow. */
const PATIENCE_MS = 200;

let folder: string;
let push: TwinportProcess;
let bigBlob: string;
const sockets: Socket[] = [];

beforeAll(async () => {
  folder = makeTempFolder('hostile');
  const env = { HTTP_IDLE_TIMEOUT_SECONDS: '2' };
  push = await startTwinport({ role: 'push', storage: { dataDir: folder }, env });
  const blob = Buffer.alloc(32 * MIB, 'slow');
  bigBlob = digestOf(blob);
  const path = `/v2/team/app/blobs/uploads/?digest=${bigBlob}`;
  expect((await call(push.url, { method: 'POST', path, body: blob })).status).toBe(201);
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(async () => {
  await push.stop();
  await removeTempFolder(folder);
});

async function open(head: string): Promise<Socket> {
  const socket = connect(push.port, '127.0.0.1');
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  socket.write(head.replaceAll('\n', '\r\n'));
  return socket;
}

/** On a connection of its own: this registry closes idle ones so soon that a kept one may just be going. */
const alone = { Connection: 'close' };
const status = async (path: string): Promise<number> =>
  (await call(push.url, { method: 'GET', path, headers: alone })).status;

/** Files and connections that the registry has open. */
const openFiles = (): number => readdirSync(`/proc/${push.pid}/fd`).length;

/** The seconds of processor time that the registry has used. */
function processorSeconds(): number {
  const fields = readFileSync(`/proc/${push.pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentMib(): number {
  const text = readFileSync(`/proc/${push.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1]) / 1024;
}

describe('slow clients', () => {
  const upload = 'POST /v2/team/app/blobs/uploads/?digest=';

  test.each<[number, string, () => string, 'silent' | 'dripping']>([
    [2_000, 'send half a header', () => 'GET /v2/ HTTP/1.1\nHost: a\nX-Slow: ', 'silent'],
    [
      2_000,
      'send a body byte by byte',
      () => `${upload}${bigBlob} HTTP/1.1\nHost: a\nContent-Length: ${32 * MIB}\n\n`,
      'dripping',
    ],
    [
      500,
      'send a chunk byte by byte',
      () => `${upload}${bigBlob} HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nfffff\n`,
      'dripping',
    ],
    // Each takes some megabytes of the system's own memory.
    [
      100,
      'never read what they asked for',
      () => `GET /v2/team/app/blobs/${bigBlob} HTTP/1.1\nHost: a\n\n`,
      'silent',
    ],
  ])('%i that %s are cut, while others are served', async (clients, _, head, manner) => {
    const before = openFiles();
    const held = await Promise.all(Array.from({ length: clients }, () => open(head())));
    const drip = setInterval(() => {
      if (manner === 'silent') return;
      for (const socket of held) if (socket.writable) socket.write('x');
    }, 1_000);
    try {
      const waits: number[] = [];
      const cut: unknown[] = [];
      for (let time = 0; time < 100; time += 1) {
        const askedMs = performance.now();
        const answer = await status('/v2/').catch((error: unknown) => void cut.push(error));
        expect([200, undefined]).toContain(answer);
        waits.push(performance.now() - askedMs);
      }
      // With a limit of two seconds one is taken for a slow client whose request a busy machine leaves unread for as long.
      expect(cut.length).toBeLessThan(5);
      for (const error of cut) expect(error).toMatchObject({ code: 'ECONNRESET' });
      waits.sort((a, b) => a - b);
      // Nothing is said of the slowest on a machine that does other things meanwhile.
      expect(waits[isFullRun() ? 98 : 49]).toBeLessThan(PATIENCE_MS);
      await waitFor(() => openFiles() <= before + 5, {
        what: 'every slow client to be cut',
        timeoutMs: 60_000,
      });
    } finally {
      clearInterval(drip);
    }
    expect(await status('/v2/')).toBe(200);
  });
});

describe('bodies without an end', () => {
  test('are refused after 4 MiB where a manifest is expected, and cost no memory', async () => {
    const send = async (): Promise<string> => {
      const socket = await open(
        'PUT /v2/team/app/manifests/endless HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n',
      );
      let text = '';
      socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
      const chunk = Buffer.concat([
        Buffer.from('100000\r\n'),
        Buffer.alloc(MIB),
        Buffer.from('\r\n'),
      ]);
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      while (!socket.closed) {
        const isTaken = socket.write(chunk);
        const next = isTaken ? nextTurn() : Promise.race([once(socket, 'drain'), closed]);
        // The registry cuts the connection at some point of this.
        await next.catch(() => undefined);
      }
      return text;
    };
    await Promise.all([send(), send()]);
    const before = residentMib();
    const answers = await Promise.all([send(), send(), send(), send()]);
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*Connection: close/);
    expect(residentMib() - before).toBeLessThan(64);
  });
});

describe('JSON that is made to be slow', () => {
  test('costs little, and others are served meanwhile', async () => {
    const bombs = [
      '['.repeat(4 * MIB),
      '['.repeat(2 * MIB) + ']'.repeat(2 * MIB),
      `[${'{},'.repeat(MIB)}0]`,
      `[${`${'['.repeat(60)}${']'.repeat(60)},`.repeat(30_000)}0]`,
      `{${Array.from({ length: 200_000 }, (_, key) => `"${key * 7}":0`).join(',')}}`,
    ].map((text) => Buffer.from(text));
    const before = processorSeconds();
    const put = async (at: number): Promise<void> => {
      const path = '/v2/team/app/manifests/bomb';
      const body = bombs[at % bombs.length]!;
      const request = { method: 'PUT', path, headers: { ...manifestType, ...alone }, body };
      expect((await call(push.url, request)).status).toBe(400);
      expect(await status('/v2/')).toBe(200);
    };
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 5 }, (_, at) => put(at)));
    }
    // JSON.parse alone would take 30 seconds for these fifty.
    expect(processorSeconds() - before).toBeLessThan(12);
  });
});

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
