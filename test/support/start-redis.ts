import { mkdirSync } from 'node:fs';

import { Redis } from 'ioredis';

import { requireTool } from './find-tool.ts';
import { freePort } from './free-port.ts';
import { startProcess } from './start-process.ts';
import type { RunningProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export interface RedisOptions {
  /** True for a test that stops, hangs or configures its server: then TEST_REDIS_URL is never used. */
  readonly own?: boolean;
  /** More command-line arguments, for example ['--maxmemory', '1mb']. */
  readonly args?: readonly string[];
}

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** -1 for a server that the environment names. */
  readonly pid: number;
  /** Ends the server; `restart` may bring it back. */
  stop(): Promise<void>;
  /** A new, empty process on the same port. */
  restart(): Promise<void>;
  /** Hangs it: connections stay open, nothing is answered. */
  pause(): void;
  resume(): void;
  /** FLUSHALL, or FLUSHDB on a server that the environment names. */
  flush(): Promise<void>;
  keyCount(): Promise<number>;
}

/** An empty Redis: a process of its own on loopback without persistence, or the one that TEST_REDIS_URL names. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const shared = process.env['TEST_REDIS_URL'];
  if (shared !== undefined && options.own !== true && options.args === undefined)
    return await useSharedRedis(shared);
  const port = await freePort();
  const folder = makeTempFolder('redis');
  const url = `redis://127.0.0.1:${port}`;
  const launch = (): Promise<RunningProcess> =>
    startProcess({
      name: 'redis-server',
      command: requireTool('redis-server'),
      args: redisArguments(port, folder, options.args ?? []),
      isReady: (logs) => logs.includes('Ready to accept connections'),
    });
  let server = await launch();
  return {
    url,
    port,
    get pid() {
      return server.pid;
    },
    stop: async () => {
      await server.stop();
      await removeTempFolder(folder);
    },
    restart: async () => {
      await server.stop();
      mkdirSync(folder, { recursive: true });
      server = await launch();
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    flush: async () => {
      await withClient(url, (client) => client.flushall());
    },
    keyCount: () => withClient(url, (client) => client.dbsize()),
  };
}

async function useSharedRedis(base: string): Promise<RedisServer> {
  // Each jest worker gets a database of its own, so that two test files may flush at the same time.
  const url = new URL(base);
  if (url.pathname.length < 2) url.pathname = `/${process.env['JEST_WORKER_ID'] ?? '0'}`;
  const flush = async (): Promise<void> => {
    await withClient(url.href, (client) => client.flushdb());
  };
  const refuse = (): never => {
    throw new Error('a Redis that TEST_REDIS_URL names is not ours to stop; ask for { own: true }');
  };
  await flush();
  return {
    url: url.href,
    port: Number(url.port || 6379),
    pid: -1,
    stop: flush,
    restart: refuse,
    pause: refuse,
    resume: refuse,
    flush,
    keyCount: () => withClient(url.href, (client) => client.dbsize()),
  };
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1 });
  try {
    await client.connect();
    return await use(client);
  } finally {
    client.disconnect();
  }
}

function redisArguments(port: number, folder: string, more: readonly string[]): string[] {
  const fixed = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  return [...fixed, '--maxmemory-policy', 'noeviction', '--daemonize', 'no', ...more];
}
