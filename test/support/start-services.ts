import path from 'node:path';

import { freePort } from './free-port.ts';
import { storageEnvironment, type TwinportOptions } from './registry-process.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

type ServiceOptions = Required<Pick<TwinportOptions, 'role' | 'storage' | 'upstreamUrl' | 'env'>>;

export interface StartedServices {
  /** In the order of the options. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

const ROOT = path.resolve(import.meta.dirname, '..', '..');

/** Services with a configuration each, in one process: for tests of what is configured, not of what a process does. */
export async function startServices(all: readonly ServiceOptions[]): Promise<StartedServices> {
  const scratch = makeTempFolder('services');
  const services = await Promise.all(
    all.map(async ({ role, storage, upstreamUrl, env }, place) => {
      const [port, metricsPort] = [await freePort(), await freePort()];
      const environment = {
        RUN_AS_MIRROR: String(role === 'mirror'),
        HTTP_HOST: '127.0.0.1',
        HTTP_PORT: String(port),
        METRICS_PORT: String(metricsPort),
        UPSTREAM_URL: upstreamUrl,
        SHUTDOWN_GRACE_SECONDS: '5',
        ...(role === 'mirror' && { SPOOL_DIR: path.join(scratch, `spool-${place}`) }),
        ...storageEnvironment(storage),
        ...env,
      };
      return { environment, port, metricsPort };
    }),
  );
  const running = await startProcess({
    name: 'services',
    command: process.execPath,
    args: ['--max-semi-space-size=4', path.join(import.meta.dirname, 'services-child.ts')],
    cwd: scratch,
    env: {
      PATH: process.env['PATH'],
      TMPDIR: scratch,
      NODE_COMPILE_CACHE: path.join(ROOT, 'node_modules', '.cache', 'twinport'),
      TWINPORT_TEST_SERVICES: JSON.stringify(services.map(({ environment }) => environment)),
    },
    isReady: async () => {
      const ready = await Promise.all(
        services.map(({ metricsPort }) =>
          fetch(`http://127.0.0.1:${metricsPort}/readyz`, { signal: AbortSignal.timeout(2_000) }),
        ),
      );
      return ready.every(({ status }) => status === 200);
    },
  });
  return {
    urls: services.map(({ port }) => `http://127.0.0.1:${port}`),
    stop: async () => {
      await running.stop();
      await removeTempFolder(scratch);
    },
  };
}
