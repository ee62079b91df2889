import type { Config } from '../../shared/config/config.ts';
import type { Mode } from '../../shared/config/create-roles.ts';
import { type HttpServer, startHttpServer } from '../../shared/http/start-http-server.ts';
import type { ShutdownPhase } from '../../shared/lifecycle/shutdown.ts';
import type { Logger } from '../../shared/observability/logger.ts';
import type { OpenPlatform } from '../platform/create-platform.ts';
import type { Platform, RoleApp } from '../platform/platform.ts';
import { listenProblem, portVariable } from './start-problem.ts';
import type { RoleWatch } from './role-watch.ts';

export interface StartRoleOptions {
  readonly mode: Mode;
  readonly opened: OpenPlatform;
  /** Other processes of this program listen at the same port. */
  readonly sharesPort: boolean;
  /** Gives up the start. */
  readonly signal: AbortSignal;
}

/** A role that serves. Its phases end it, in this order. */
export interface RunningRole {
  readonly config: Config;
  /** The port it really listens on. */
  readonly port: number;
  readonly finishRequests: ShutdownPhase;
  readonly closeRole: ShutdownPhase;
}

/** Running requests that were cut still need a moment to let go of what they hold. */
const CUT_MS = 1000;
const CLOSE_MS = 5000;

/**
 * Starts one role on the platform: its own preparations, which may refuse, then its port. Rejects with a reason that
 * can be shown; nothing of the role is left open then.
 */
export async function startRole(watch: RoleWatch, options: StartRoleOptions): Promise<RunningRole> {
  const { config, health, log, observer } = watch;
  const { opened, signal } = options;
  const app = await createRoleApp(config, { ...opened.platform, log, observer }, options);
  let http: HttpServer;
  try {
    await app.start();
    signal.throwIfAborted();
    http = await listen(config, options, app, log);
  } catch (error) {
    await app.close().catch(() => undefined);
    throw error;
  }
  watch.watch({
    degraded: async () => [...opened.degraded(), ...(await app.degraded())],
    storeTraits: () => opened.storeTraits(),
  });
  health.started();
  log.info({ host: config.http.host, port: http.port }, 'ready');
  return running(config, app, http);
}

/** Loads the role that runs, and not the other one. */
async function createRoleApp(
  config: Config,
  platform: Platform,
  { opened, sharesPort }: StartRoleOptions,
): Promise<RoleApp> {
  if (config.role === 'push') {
    const { createPushApp } = await import('../push/create-push-app.ts');
    return createPushApp(platform, opened.uploads, config);
  }
  const { createMirrorApp } = await import('../mirror/create-mirror-app.ts');
  const { spoolRoom, programLeases } = opened;
  return createMirrorApp(platform, config, {
    spoolRoom,
    programLeases: sharesPort ? programLeases : undefined,
  });
}

async function listen(
  config: Config,
  { mode, sharesPort }: Pick<StartRoleOptions, 'mode' | 'sharesPort'>,
  { app }: RoleApp,
  log: Logger,
): Promise<HttpServer> {
  const { host, port, tls } = config.http;
  const { idleTimeoutSeconds } = config;
  try {
    return await startHttpServer({
      app,
      host,
      port,
      tls,
      idleTimeoutSeconds,
      log,
      sharesPort,
    });
  } catch (error) {
    throw listenProblem(
      tls ? tlsProblem(error) : error,
      host,
      port,
      portVariable(mode, config.role),
    );
  }
}

/** OpenSSL's refusals do not say what they are about. */
function tlsProblem(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code?.startsWith('ERR_OSSL') !== true) return error;
  return new Error('HTTP_TLS_CERTIFICATE and HTTP_TLS_KEY cannot be used', { cause: error });
}

function running(config: Config, app: RoleApp, http: HttpServer): RunningRole {
  const graceMs = config.shutdownGraceSeconds * 1000;
  const { role } = config;
  return {
    config,
    port: http.port,
    finishRequests: {
      name: `requests of the ${role} role`,
      capMs: graceMs + CUT_MS,
      run: () => http.close(graceMs),
    },
    closeRole: { name: `${role} role`, capMs: CLOSE_MS, run: () => app.close() },
  };
}
