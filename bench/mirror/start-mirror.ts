import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { freePort } from '../../test/support/free-port.ts';
import { startTwinport, type TwinportOptions } from '../../test/support/registry-process.ts';
import { s3DriverSettings } from '../../test/support/s3-driver-settings.ts';
import type { Lab } from '../subjects/lab.ts';
import { PROCESSORS, requireBucket, serve, type Started } from '../subjects/start-subject.ts';
import type { StoreKind, SubjectName } from '../subjects/subject.ts';

export interface MirrorOptions {
  readonly lab: Lab;
  readonly store: StoreKind;
  readonly upstreamUrl: string;
  /** More of Twinport's environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** Each caches in a part of the store of its own. */
const REDIS_DATABASE = { twinport: 2, distribution: 3 };
const S3_PREFIX = { twinport: 'mirror-twinport', distribution: 'mirror-distribution' };

/** Starts a registry as a mirror of the upstream, with an empty cache. */
export async function startMirror(name: SubjectName, options: MirrorOptions): Promise<Started> {
  return await STARTERS[name](options);
}

/** Twinport's push service, or its mirror, over the store of its mirror. */
export async function startTwinportRole(
  role: TwinportOptions['role'],
  { lab, store, upstreamUrl, env }: MirrorOptions,
): Promise<Started> {
  const isOnFiles = store === 'files';
  const running = await startTwinport({
    role,
    upstreamUrl,
    storage: isOnFiles ? { dataDir: folderOf(lab, 'twinport') } : requireBucket(lab),
    ...(!isOnFiles && lab.redis ? { redisUrl: `${lab.redis.url}/${REDIS_DATABASE.twinport}` } : {}),
    env: {
      LOG_LEVEL: 'warn',
      WORKERS: PROCESSORS,
      UV_THREADPOOL_SIZE: '16',
      ...(isOnFiles ? {} : { S3_PREFIX: S3_PREFIX.twinport }),
      ...env,
    },
  });
  return {
    url: running.url,
    pid: running.pid,
    stop: async () => {
      await running.stop();
    },
  };
}

const STARTERS: Record<SubjectName, (options: MirrorOptions) => Promise<Started>> = {
  twinport: (options) => startTwinportRole('mirror', options),
  distribution: (options) => startPeer('distribution', options, distributionConfig),
  zot: (options) => startPeer('zot', options, zotConfig),
};

async function startPeer(
  name: 'distribution' | 'zot',
  options: MirrorOptions,
  configFor: (options: MirrorOptions, port: number) => object,
): Promise<Started> {
  const port = await freePort();
  const config = path.join(options.lab.scratch, `mirror-${name}-${options.store}.json`);
  writeFileSync(config, JSON.stringify(configFor(options, port)));
  return await serve(name, port, ['serve', config]);
}

/** As in the other measurements, and `proxy.remoteurl`, all that its documentation has about a mirror. JSON is YAML. */
function distributionConfig({ lab, store, upstreamUrl }: MirrorOptions, port: number): object {
  const isOnFiles = store === 'files';
  const driver = isOnFiles
    ? { filesystem: { rootdirectory: folderOf(lab, 'distribution') } }
    : {
        s3: {
          ...s3DriverSettings(requireBucket(lab)),
          rootdirectory: `/${S3_PREFIX.distribution}`,
        },
      };
  return {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      ...driver,
      cache: { blobdescriptor: isOnFiles ? 'inmemory' : 'redis' },
      delete: { enabled: true },
      redirect: { disable: true },
    },
    ...(isOnFiles
      ? {}
      : {
          redis: {
            addrs: [`127.0.0.1:${lab.redis?.port ?? 0}`],
            db: REDIS_DATABASE.distribution,
          },
        }),
    proxy: { remoteurl: upstreamUrl },
    http: { addr: `127.0.0.1:${port}`, secret: 'bench' },
  };
}

/** On-demand sync of everything. What is synchronised goes by way of a local folder, also to S3. */
function zotConfig({ lab, store, upstreamUrl }: MirrorOptions, port: number): object {
  const rootDirectory = folderOf(lab, `zot-${store}`);
  const isOnFiles = store === 'files';
  return {
    distSpecVersion: '1.1.1',
    storage: {
      rootDirectory,
      dedupe: false,
      gc: false,
      commit: true,
      ...(isOnFiles
        ? {}
        : {
            storageDriver: {
              name: 's3',
              ...s3DriverSettings(requireBucket(lab)),
              rootdirectory: '/mirror-zot',
              skipverify: false,
            },
          }),
    },
    http: { address: '127.0.0.1', port: String(port) },
    log: { level: 'error' },
    extensions: {
      sync: {
        enable: true,
        ...(isOnFiles ? {} : { downloadDir: folderOf(lab, 'zot-downloads') }),
        registries: [
          { urls: [upstreamUrl], onDemand: true, tlsVerify: false, content: [{ prefix: '**' }] },
        ],
      },
    },
  };
}

function folderOf(lab: Lab, name: string): string {
  const folder = path.join(lab.scratch, `mirror-${name}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}
