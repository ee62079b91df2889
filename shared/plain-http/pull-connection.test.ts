import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { TLS_PAIRS } from '../http/testing/tls-pairs.ts';
import { HandedOver } from './handed-over.ts';
import type { LentBody } from './lent-body.ts';
import { PullConnection } from './pull-connection.ts';
import { RawServer } from './testing/raw-server.ts';

const content = randomBytes(1_000_000);
const { certificate: cert, key } = TLS_PAIRS.loopback;
/** At least as large as a read may become. */
const BLOCK_BYTES = 64 * 1024;

/** Takes every piece only some turns of the event loop after it was handed over, and then asks for the next one. */
function takenLate(body: LentBody, memory?: () => Buffer): Promise<Buffer> {
  const taken: Buffer[] = [];
  return new Promise((resolve, reject) => {
    body.once('end', () => resolve(Buffer.concat(taken)));
    body.once('error', reject);
    const takeLate = async (piece: Buffer): Promise<void> => {
      for (let i = 0; i < 3; i += 1) await turn();
      taken.push(Buffer.from(piece));
      body.more();
    };
    body.lend((piece) => {
      void takeLate(piece);
      return false;
    }, memory);
  });
}

describe.each([
  ['TCP', false],
  ['TLS', true],
])('a body that comes by %s all at once', (_name, isTls) => {
  let server: RawServer;
  let connection: PullConnection;
  let freed: number;
  let headers: string;

  beforeEach(async () => {
    headers = '';
    const answer = (socket: Socket): void => {
      socket.on('data', () => {
        const head = `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n${headers}\r\n`;
        socket.write(Buffer.concat([Buffer.from(head), content]));
        if (headers !== '') socket.end();
      });
    };
    server = await new RawServer(answer, isTls ? { cert, key } : undefined).listen();
    const to = { host: '127.0.0.1', port: server.port };
    freed = 0;
    connection = new PullConnection(
      (onread) =>
        isTls ? connectTls(Object.assign({ onread, ca: cert }, to)) : connect({ onread, ...to }),
      () => {
        freed += 1;
      },
    );
  });
  afterEach(async () => {
    connection.destroy();
    await server.close();
  });
  const ask = async (): Promise<LentBody> => {
    const answer = await connection.ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    if (answer instanceof HandedOver) throw new Error('the answer is plain');
    await turn();
    return answer.body;
  };

  test('is whole for who reads it', async () => {
    for (let round = 1; round <= 2; round += 1) {
      expect((await buffer(await ask())).equals(content)).toBe(true);
      expect(freed).toBe(round);
    }
  });

  test('is whole for who borrows it and is late each time', async () => {
    for (let round = 1; round <= 2; round += 1) {
      expect((await takenLate(await ask())).equals(content)).toBe(true);
      expect(freed).toBe(round);
    }
  });

  test('is whole for who has it read into memory of his own', async () => {
    for (let round = 1; round <= 2; round += 1) {
      const blocks = (): Buffer => Buffer.allocUnsafe(BLOCK_BYTES);
      expect((await takenLate(await ask(), blocks)).equals(content)).toBe(true);
      expect(freed).toBe(round);
    }
  });

  test('is whole although the other side hangs up behind it', async () => {
    headers = 'Connection: close\r\n';
    expect((await takenLate(await ask())).equals(content)).toBe(true);
  });
});
