import path from 'node:path';

import { freePort } from './free-port.ts';
import type { MountNamespace } from './mount-namespace.ts';
import { startProcess } from './start-process.ts';
import type { ProcessEnd } from './start-process.ts';
import type { S3Bucket } from './start-s3.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export interface TwinportOptions {
  readonly role: 'push' | 'mirror';
  /** A folder on disk or a bucket. */
  readonly storage: { readonly dataDir: string } | S3Bucket;
  readonly redisUrl?: string;
  /** Without it, an address where nobody listens: no test ever asks Docker Hub. */
  readonly upstreamUrl?: string;
  /** Any other variable; wins over what the options above say. */
  readonly env?: Readonly<Record<string, string>>;
  /** The port to listen on, for a process that takes the place of another. */
  readonly port?: number;
  /** The script to start; without it, this tree's that starts one role. */
  readonly entryPoint?: string;
  /** Where the process runs; without it, where the test does. */
  readonly namespace?: MountNamespace;
}

export interface TwinportProcess {
  readonly url: string;
  /** `127.0.0.1:port`, as it stands before the repository in an image's name. */
  readonly host: string;
  readonly port: number;
  readonly metricsUrl: string;
  readonly pid: number;
  /** Resolves when the process is gone. */
  readonly ended: Promise<ProcessEnd>;
  logs(tailBytes?: number): string;
  /** Sends one signal; `ended` tells when a deadly one has done its work. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<ProcessEnd>;
}

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const NOBODY_LISTENS = 'http://127.0.0.1:1';
/** Where `npm start` and `npm run serve` keep compiled modules, too: a start takes a third less of the processor. */
const COMPILE_CACHE = path.join(ROOT, 'node_modules', '.cache', 'twinport');

/** One role as an operator starts it: a process with its configuration in the environment; resolves when it is ready. */
export async function startTwinport(options: TwinportOptions): Promise<TwinportProcess> {
  const port = options.port ?? (await freePort());
  const metricsPort = await freePort();
  const metricsUrl = `http://127.0.0.1:${metricsPort}`;
  const scratch = makeTempFolder('twinport');
  const main = options.entryPoint ?? path.join(ROOT, 'services', 'main.ts');
  const program = [process.execPath, '--max-semi-space-size=4', main] as const;
  const [command, ...args] = options.namespace?.enter(...program) ?? program;
  const running = await startProcess({
    name: `twinport-${options.role}`,
    command,
    args,
    cwd: scratch,
    env: {
      PATH: process.env['PATH'],
      TMPDIR: scratch,
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      RUN_AS_MIRROR: String(options.role === 'mirror'),
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(port),
      METRICS_PORT: String(metricsPort),
      UPSTREAM_URL: options.upstreamUrl ?? NOBODY_LISTENS,
      SHUTDOWN_GRACE_SECONDS: '5',
      ...storageEnvironment(options.storage),
      ...(options.redisUrl === undefined ? {} : withRedis(options.redisUrl)),
      ...options.env,
    },
    isReady: async () =>
      (await fetch(`${metricsUrl}/readyz`, { signal: AbortSignal.timeout(2_000) })).status === 200,
    stopTimeoutMs: 60_000,
  });
  const stop = async (): Promise<ProcessEnd> => {
    const end = await running.stop();
    await removeTempFolder(scratch);
    return end;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    port,
    metricsUrl,
    pid: running.pid,
    ended: running.ended,
    logs: (tailBytes) => running.logs(tailBytes),
    kill: (signal) => running.signal(signal),
    stop,
  };
}

/** A busy machine keeps answers of Redis back for longer than is worth waiting for elsewhere. */
export const withRedis = (url: string): Record<string, string> => ({
  REDIS_URL: url,
  REDIS_TIMEOUT_MS: '500',
});

/** The variables that name a store. */
export function storageEnvironment(storage: TwinportOptions['storage']): Record<string, string> {
  if ('dataDir' in storage) return { STORAGE: 'filesystem', DATA_DIR: storage.dataDir };
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = storage;
  return {
    STORAGE: 's3',
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    S3_BUCKET: bucket,
    S3_FORCE_PATH_STYLE: 'true',
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
  };
}
