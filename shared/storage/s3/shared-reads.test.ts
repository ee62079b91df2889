import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { SharedReadsAgent } from './shared-reads.ts';

const contents = Array.from({ length: 8 }, () => randomBytes(700_001));
let server: Server;
let agent: SharedReadsAgent;
let connections: number;

beforeEach(async () => {
  connections = 0;
  server = createServer((request, response) =>
    response.end(contents[Number(request.url?.slice(1))]),
  );
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  agent = new SharedReadsAgent({ keepAlive: true });
});
afterEach(async () => {
  agent.destroy();
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

const ask = async (which: number): Promise<IncomingMessage> => {
  const { port } = server.address() as AddressInfo;
  const request = get({ host: '127.0.0.1', port, path: `/${which}`, agent });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
};

/** Keeps the chunks as they came, each only after others had the chance to read. */
async function isWhole(which: number, response: IncomingMessage): Promise<boolean> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Buffer.concat(chunks).equals(contents[which]!);
}

test('answers that are read at the same time over one buffer keep their own bytes', async () => {
  const all = await Promise.all(contents.map(async (_, at) => isWhole(at, await ask(at))));
  expect(all).not.toContain(false);
});

test('a connection serves one answer after the other', async () => {
  for (const at of [0, 1, 2]) expect(await isWhole(at, await ask(at))).toBe(true);
  expect(connections).toBe(1);
});

test('an answer that nobody reads holds up no other', async () => {
  const unread = await ask(0);
  expect(await isWhole(1, await ask(1))).toBe(true);
  expect(await isWhole(0, unread)).toBe(true);
});
