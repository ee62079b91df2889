import type { Config } from '../shared/config/config.ts';
import type { Mode } from '../shared/config/create-roles.ts';
import { type HttpServer, startHttpServer } from '../shared/http/start-http-server.ts';
import type { ShutdownPhase } from '../shared/lifecycle/shutdown.ts';
import type { Logger } from '../shared/observability/logger.ts';
import type { ListeningRole } from './banner.ts';
import type { OpenPlatform } from './create-platform.ts';
import { createMirrorApp } from './mirror/create-mirror-app.ts';
import type { Platform, RoleApp } from './platform.ts';
import { createPushApp } from './push/create-push-app.ts';
import { listenProblem } from './start-problem.ts';
import type { RoleOps } from './start-role-ops.ts';

export interface StartRoleOptions {
  readonly mode: Mode;
  readonly opened: OpenPlatform;
  /** Gives up the start. */
  readonly signal: AbortSignal;
}

/** A role that serves. Its phases end it, in this order. */
export interface RunningRole extends ListeningRole {
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
export async function startRole(ops: RoleOps, options: StartRoleOptions): Promise<RunningRole> {
  const { config, health, log, observer, server } = ops;
  const { opened, mode, signal } = options;
  const app = createRoleApp(config, { ...opened.platform, log, observer }, opened);
  let http: HttpServer;
  try {
    await app.start();
    signal.throwIfAborted();
    http = await listen(config, mode, app, log);
  } catch (error) {
    await app.close().catch(() => undefined);
    throw error;
  }
  ops.watch(async () => [...opened.degraded(), ...(await app.degraded())]);
  health.started();
  log.info({ host: config.http.host, port: http.port, metricsPort: server.port }, 'ready');
  return running(config, server.port, app, http);
}

function createRoleApp(config: Config, platform: Platform, opened: OpenPlatform): RoleApp {
  return config.role === 'push'
    ? createPushApp(platform, opened.uploads, config)
    : createMirrorApp(platform, config);
}

async function listen(
  config: Config,
  mode: Mode,
  { app }: RoleApp,
  log: Logger,
): Promise<HttpServer> {
  const { host, port, tls } = config.http;
  const { idleTimeoutSeconds } = config;
  try {
    return await startHttpServer({ app, host, port, tls, idleTimeoutSeconds, log });
  } catch (error) {
    throw listenProblem(tls ? tlsProblem(error) : error, host, port, portVariable(mode, config));
  }
}

/** OpenSSL's refusals do not say what they are about. */
function tlsProblem(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code?.startsWith('ERR_OSSL') !== true) return error;
  return new Error('HTTP_TLS_CERTIFICATE and HTTP_TLS_KEY cannot be used', { cause: error });
}

/** Which variable a person sets to move a role to another port. */
function portVariable(mode: Mode, { role }: Config): string {
  if (mode === 'serve') return 'HTTP_PORT';
  return role === 'push' ? 'PUSH_PORT' : 'MIRROR_PORT';
}

function running(config: Config, metricsPort: number, app: RoleApp, http: HttpServer): RunningRole {
  const graceMs = config.shutdownGraceSeconds * 1000;
  const { role } = config;
  return {
    config,
    port: http.port,
    metricsPort,
    finishRequests: {
      name: `requests of the ${role} role`,
      capMs: graceMs + CUT_MS,
      run: () => http.close(graceMs),
    },
    closeRole: { name: `${role} role`, capMs: CLOSE_MS, run: () => app.close() },
  };
}
