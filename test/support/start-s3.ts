import { randomBytes } from 'node:crypto';

import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { paginateListObjectsV2 } from '@aws-sdk/client-s3';

import { requireTool } from './find-tool.ts';
import { freePort } from './free-port.ts';
import { startProcess } from './start-process.ts';
import type { RunningProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

/** How to reach one bucket. */
export interface S3Bucket {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Server extends S3Bucket {
  /** -1 for a server that the environment names. */
  readonly pid: number;
  /** Hangs it: connections stay open, nothing is answered. */
  pause(): void;
  resume(): void;
  /** Ends the server and removes its data; on one that the environment names, the bucket alone. */
  stop(): Promise<void>;
}

export interface S3Options {
  /** True for a test that stops or hangs its server: then TEST_S3_ENDPOINT is never used. */
  readonly own?: boolean;
}

const REGION = 'us-east-1';
const OWN_KEYS = { accessKeyId: 'twinport-test', secretAccessKey: 'twinport-test-secret' };

/** MinIO with one empty bucket, or a new bucket on the server that TEST_S3_ENDPOINT names. */
export async function startMinio(options: S3Options = {}): Promise<S3Server> {
  return (await useSharedServer(options)) ?? (await startOwn(launchMinio));
}

/** versitygw over a plain folder with one empty bucket. */
export async function startVersitygw(): Promise<S3Server> {
  return await startOwn(launchVersitygw);
}

/** A client for one bucket's server. The caller destroys it. */
export function createTestS3Client(server: Omit<S3Bucket, 'bucket'>): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
  });
}

async function startOwn(
  launch: (port: number, folder: string) => Promise<RunningProcess>,
): Promise<S3Server> {
  const port = await freePort();
  const folder = makeTempFolder('s3');
  const server = await launch(port, folder);
  const access = { endpoint: `http://127.0.0.1:${port}`, region: REGION, ...OWN_KEYS };
  const stop = async (): Promise<void> => {
    await server.stop();
    await removeTempFolder(folder);
  };
  try {
    return {
      ...access,
      bucket: await makeBucket(access),
      pid: server.pid,
      pause: () => server.signal('SIGSTOP'),
      resume: () => server.signal('SIGCONT'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function launchMinio(port: number, folder: string): Promise<RunningProcess> {
  return startProcess({
    name: 'minio',
    command: requireTool('minio'),
    args: ['server', '--address', `127.0.0.1:${port}`, '--quiet', '--anonymous', folder],
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      MINIO_ROOT_USER: OWN_KEYS.accessKeyId,
      MINIO_ROOT_PASSWORD: OWN_KEYS.secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      CI: 'true',
    },
    isReady: () =>
      answers(`http://127.0.0.1:${port}/minio/health/ready`, (status) => status === 200),
  });
}

function launchVersitygw(port: number, folder: string): Promise<RunningProcess> {
  const { accessKeyId, secretAccessKey } = OWN_KEYS;
  const keys = ['--access', accessKeyId, '--secret', secretAccessKey, '--region', REGION];
  return startProcess({
    name: 'versitygw',
    command: requireTool('versitygw'),
    args: ['--port', `127.0.0.1:${port}`, ...keys, '--quiet', 'posix', folder],
    isReady: () => answers(`http://127.0.0.1:${port}/`, (status) => status === 403),
  });
}

async function answers(url: string, isExpected: (status: number) => boolean): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await response.arrayBuffer();
  return isExpected(response.status);
}

async function makeBucket(access: Omit<S3Bucket, 'bucket'>): Promise<string> {
  const bucket = `twinport-test-${randomBytes(6).toString('hex')}`;
  const client = createTestS3Client(access);
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    return bucket;
  } finally {
    client.destroy();
  }
}

async function useSharedServer(options: S3Options): Promise<S3Server | undefined> {
  const endpoint = process.env['TEST_S3_ENDPOINT'];
  if (endpoint === undefined || options.own === true) return undefined;
  const access = {
    endpoint,
    region: process.env['TEST_S3_REGION'] ?? REGION,
    accessKeyId: process.env['TEST_S3_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: process.env['TEST_S3_SECRET_ACCESS_KEY'] ?? '',
  };
  const refuse = (): never => {
    throw new Error(
      'a server that TEST_S3_ENDPOINT names is not ours to stop; ask for { own: true }',
    );
  };
  const bucket = await makeBucket(access);
  const stop = (): Promise<void> => removeBucket({ ...access, bucket });
  return { ...access, bucket, pid: -1, pause: refuse, resume: refuse, stop };
}

async function removeBucket(bucket: S3Bucket): Promise<void> {
  const client = createTestS3Client(bucket);
  try {
    for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket.bucket })) {
      const objects = (page.Contents ?? []).map(({ Key }) => ({ Key }));
      if (objects.length === 0) continue;
      await client.send(
        new DeleteObjectsCommand({
          Bucket: bucket.bucket,
          Delete: { Objects: objects, Quiet: true },
        }),
      );
    }
    await client.send(new DeleteBucketCommand({ Bucket: bucket.bucket }));
  } finally {
    client.destroy();
  }
}
