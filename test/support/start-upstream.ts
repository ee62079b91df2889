import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';

import { runDistribution } from './distribution.ts';
import { freePort } from './free-port.ts';
import type { RunningProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export interface UpstreamRegistry {
  /** Through the counter: what a mirror is pointed at. */
  readonly url: string;
  /** Past the counter: what a test pushes to. */
  readonly directUrl: string;
  /** The registry's data folder, in distribution's layout. */
  readonly folder: string;
  /** Requests seen by the counter, as `GET /v2/a/manifests/1` (no query) to how often. */
  readonly counts: ReadonlyMap<string, number>;
  /** Bytes of answers' bodies that went through the counter, under the same keys. */
  readonly bytes: ReadonlyMap<string, number>;
  /** Requests that the counter has not ended yet. */
  underWay(): number;
  resetCounts(): void;
  /** Refuses connections, as a registry that is gone; the data stay. */
  goDown(): Promise<void>;
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

/** A real registry (distribution v3) over a folder, behind a proxy that counts what is asked of it. */
export async function startUpstream(): Promise<UpstreamRegistry> {
  const folder = makeTempFolder('upstream');
  const directPort = await freePort();
  const counterPort = await freePort();
  const traffic: Traffic = { counts: new Map(), bytes: new Map(), underWay: 0 };
  let registry = await launchDistribution(folder, directPort);
  let counter = await listen(counterPort, directPort, traffic);
  const goDown = async (): Promise<void> => {
    await close(counter);
    await registry.stop();
  };
  return {
    url: `http://127.0.0.1:${counterPort}`,
    directUrl: `http://127.0.0.1:${directPort}`,
    folder: path.join(folder, 'data'),
    counts: traffic.counts,
    bytes: traffic.bytes,
    underWay: () => traffic.underWay,
    resetCounts: () => {
      traffic.counts.clear();
      traffic.bytes.clear();
    },
    goDown,
    comeBack: async () => {
      registry = await launchDistribution(folder, directPort);
      counter = await listen(counterPort, directPort, traffic);
    },
    stop: async () => {
      await goDown();
      await removeTempFolder(folder);
    },
  };
}

interface Traffic {
  readonly counts: Map<string, number>;
  readonly bytes: Map<string, number>;
  underWay: number;
}

/** Distribution v3 on a folder (its `data` is the registry's root directory), as its documentation starts it. */
export async function launchDistribution(folder: string, port: number): Promise<RunningProcess> {
  const dataDir = path.join(folder, 'data');
  mkdirSync(dataDir, { recursive: true });
  return await runDistribution({ dataDir }, folder, port);
}

async function listen(port: number, targetPort: number, traffic: Traffic): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    const key = `${incoming.method ?? ''} ${new URL(incoming.url ?? '/', 'http://upstream').pathname}`;
    const { counts, bytes } = traffic;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    traffic.underWay += 1;
    const count = (length: number): void => void bytes.set(key, (bytes.get(key) ?? 0) + length);
    forward(incoming, outgoing, { targetPort, count })
      .catch(() => outgoing.destroy())
      .finally(() => {
        traffic.underWay -= 1;
      });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: actual } = server.address() as AddressInfo;
  if (actual !== port) throw new Error(`the counter listens on ${actual}, not ${port}`);
  return server;
}

/** Answers with the status, headers and body of the registry behind, both directions streamed. */
async function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { targetPort, count }: { targetPort: number; count: (bytes: number) => void },
): Promise<void> {
  const onward = request({
    host: '127.0.0.1',
    port: targetPort,
    method: incoming.method,
    path: incoming.url,
    headers: incoming.headers,
    agent: false,
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    onward.once('response', resolve).once('error', reject);
  });
  outgoing.once('close', () => onward.destroy());
  await Promise.all([pipeline(incoming, onward), answered]);
  const response = await answered;
  outgoing.writeHead(response.statusCode ?? 502, response.headers);
  response.on('data', (chunk: Buffer) => {
    count(chunk.length);
  });
  await pipeline(response, outgoing);
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
