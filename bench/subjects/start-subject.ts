import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { findOnPath, findTool } from '../../test/support/find-tool.ts';
import { freePort } from '../../test/support/free-port.ts';
import { s3DriverSettings } from '../../test/support/s3-driver-settings.ts';
import { type RunningProcess, startProcess } from '../../test/support/start-process.ts';
import { startTwinport } from '../../test/support/registry-process.ts';
import { blobKey, imageBlobKey } from '../seed/layouts.ts';
import { type Lab, ZOT_PREFIX, ZOT_ROOT } from './lab.ts';
import type { StoreKind, Subject, SubjectName } from './subject.ts';

/** As many processes and threads as the goals speak of. */
export const PROCESSORS = '2';

export interface SubjectOptions {
  readonly lab: Lab;
  readonly store: StoreKind;
  /** More of Twinport's environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** The program of a registry; undefined when it is not on this machine. Twinport is always here. */
export function programOf(name: SubjectName): string | undefined {
  if (name === 'twinport') return process.execPath;
  return name === 'distribution' ? findTool('registry') : findOnPath('zot');
}

/** Starts a registry over the store, in its best documented configuration for serving the bytes itself. */
export async function startSubject(name: SubjectName, options: SubjectOptions): Promise<Subject> {
  const { lab, store } = options;
  const started = await STARTERS[name](options);
  const backing = store === 's3' ? [lab.minio?.pid, lab.redis?.pid] : [];
  return {
    name,
    store,
    ...started,
    backingPids: backing.filter((pid) => pid !== undefined),
    forget: async (repository, digests) => {
      const isZot = name === 'zot';
      const keys = digests.map((digest) =>
        isZot ? imageBlobKey(repository, digest) : blobKey(digest),
      );
      if (store === 'files') lab.removeFiles(isZot ? lab.zotFolder : lab.registryFolder, keys);
      else await lab.removeObjects(isZot ? keys.map((key) => `${ZOT_PREFIX}/${key}`) : keys);
    },
  };
}

export type Started = Pick<Subject, 'url' | 'pid' | 'stop'>;

const STARTERS: Record<SubjectName, (options: SubjectOptions) => Promise<Started>> = {
  twinport: async ({ lab, store, env }) => {
    const running = await startTwinport({
      role: 'push',
      storage: store === 'files' ? { dataDir: lab.registryFolder } : requireBucket(lab),
      ...(store === 's3' && lab.redis ? { redisUrl: `${lab.redis.url}/0` } : {}),
      env: { LOG_LEVEL: 'warn', WORKERS: PROCESSORS, UV_THREADPOOL_SIZE: '16', ...env },
    });
    return { url: running.url, pid: running.pid, stop: () => ended(running.stop()) };
  },
  distribution: async ({ lab, store }) => {
    const port = await freePort();
    const config = path.join(lab.scratch, `distribution-${store}.json`);
    writeFileSync(config, JSON.stringify(distributionConfig(lab, store, port)));
    return await serve('distribution', port, ['serve', config]);
  },
  zot: async ({ lab, store }) => {
    const port = await freePort();
    const config = path.join(lab.scratch, `zot-${store}.json`);
    writeFileSync(config, JSON.stringify(zotConfig(lab, store, port)));
    return await serve('zot', port, ['serve', config]);
  },
};

/** A peer's program, ready to answer on the port that its configuration names. */
export async function serve(
  name: 'distribution' | 'zot',
  port: number,
  args: readonly string[],
): Promise<Started> {
  const url = `http://127.0.0.1:${port}`;
  const running: RunningProcess = await startProcess({
    name,
    command: programOf(name) ?? name,
    args,
    env: { ...process.env, GOMAXPROCS: PROCESSORS, OTEL_TRACES_EXPORTER: 'none' },
    isReady: async () =>
      (await fetch(`${url}/v2/`, { signal: AbortSignal.timeout(2_000) })).status === 200,
    // zot looks through all of its store first.
    readyTimeoutMs: 180_000,
  });
  return { url, pid: running.pid, stop: () => ended(running.stop()) };
}

/** Its cache of descriptors on, its log off, and no redirects, so that it streams the bytes as we do. JSON is YAML. */
function distributionConfig(lab: Lab, store: StoreKind, port: number): object {
  const shared = { delete: { enabled: true }, redirect: { disable: true } };
  const files = {
    filesystem: { rootdirectory: lab.registryFolder },
    cache: { blobdescriptor: 'inmemory' },
  };
  return {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage:
      store === 'files'
        ? { ...files, ...shared }
        : {
            s3: s3DriverSettings(requireBucket(lab)),
            cache: { blobdescriptor: 'redis' },
            ...shared,
          },
    ...(store === 's3' ? { redis: { addrs: [`127.0.0.1:${lab.redis?.port ?? 0}`], db: 1 } } : {}),
    http: { addr: `127.0.0.1:${port}`, secret: 'bench' },
  };
}

/** `commit` makes it synchronise what it writes, as we do. Without dedupe and gc it has less to do. */
function zotConfig(lab: Lab, store: StoreKind, port: number): object {
  return {
    distSpecVersion: '1.1.1',
    storage: {
      rootDirectory: store === 'files' ? lab.zotFolder : path.join(lab.scratch, 'zot-s3'),
      dedupe: false,
      gc: false,
      commit: true,
      ...(store === 's3' ? { storageDriver: zotDriver(lab) } : {}),
    },
    http: { address: '127.0.0.1', port: String(port) },
    log: { level: 'error' },
  };
}

const zotDriver = (lab: Lab): object => ({
  name: 's3',
  ...s3DriverSettings(requireBucket(lab)),
  rootdirectory: ZOT_ROOT,
  skipverify: false,
});

export function requireBucket(lab: Lab): NonNullable<Lab['minio']> {
  if (!lab.minio) throw new Error('this run has no bucket');
  return lab.minio;
}

async function ended(stopping: Promise<unknown>): Promise<void> {
  await stopping;
}
