import type { Config } from '../shared/config/config.ts';
import type { Mode } from '../shared/config/create-roles.ts';
import { describeConfig } from '../shared/config/describe-config.ts';
import { checkStore } from '../shared/content/store-check.ts';
import { type HttpServer, startHttpServer } from '../shared/http/start-http-server.ts';
import type { ShutdownPhase } from '../shared/lifecycle/shutdown.ts';
import { Health } from '../shared/observability/health.ts';
import type { Logger } from '../shared/observability/logger.ts';
import type { Metrics } from '../shared/observability/metrics.ts';
import { type OpsServer, startOpsServer } from '../shared/observability/ops-server.ts';
import { probeKey } from '../shared/storage/object-keys.ts';
import type { ListeningRole } from './banner.ts';
import type { OpenPlatform } from './create-platform.ts';
import { createMirrorApp } from './mirror/create-mirror-app.ts';
import type { Platform, RoleApp } from './platform.ts';
import { createPushApp } from './push/create-push-app.ts';
import { isPortTaken, listenProblem } from './start-problem.ts';

export interface StartRoleOptions {
  readonly mode: Mode;
  readonly opened: OpenPlatform;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Aborts when the process is told to stop before the role is started. */
  readonly signal: AbortSignal;
}

/** A role that serves. Its phases end it, in this order. */
export interface RunningRole extends ListeningRole {
  /** Answers 503 to readiness from now on. */
  stopping(): void;
  readonly finishRequests: ShutdownPhase;
  readonly closeRole: ShutdownPhase;
  readonly closeOps: ShutdownPhase;
}

/** Running requests that were cut still need a moment to let go of what they hold. */
const CUT_MS = 2000;
const CLOSE_MS = 5000;
/** How many ports after the wanted one are tried for metrics when both roles run in one process. */
const OPS_PORT_ATTEMPTS = 20;

/**
 * Starts one role: health and metrics first, so that an orchestrator sees it start; then the role's own preparations,
 * which may refuse; then its port. Rejects with a reason that can be shown; nothing is left open then.
 */
export async function startRole(config: Config, options: StartRoleOptions): Promise<RunningRole> {
  const { opened, metrics, signal } = options;
  const { role } = config;
  const log = options.log.with({ role });
  const platform: Platform = { ...opened.platform, log, observer: metrics.observer(role) };
  log.info({ config: describeConfig(config) }, 'starting');

  let app: RoleApp | undefined;
  const health = new Health({
    clock: platform.clock,
    probeStore: (deadline) => platform.records.get(probeKey('readyz'), deadline),
    degraded: async () => [...opened.degraded(), ...((await app?.degraded()) ?? [])],
  });
  const ops = await startOps(config, options, health);
  let http: HttpServer;
  try {
    await opened.prepare(signal);
    await checkStore(platform.records, signal);
    app = createRoleApp(config, platform, opened);
    await app.start();
    signal.throwIfAborted();
    http = await listen(config, options.mode, app, log);
  } catch (error) {
    await app?.close().catch(() => undefined);
    await ops.close();
    throw error;
  }
  health.started();
  log.info({ host: config.http.host, port: http.port, metricsPort: ops.port }, 'ready');
  return running(config, { app, http, ops, health });
}

function createRoleApp(config: Config, platform: Platform, opened: OpenPlatform): RoleApp {
  return config.role === 'push'
    ? createPushApp(platform, opened.uploads, config)
    : createMirrorApp(platform, config);
}

/** Which variable a person sets to move a role to another port. */
function portVariable(mode: Mode, { role }: Config): string {
  if (mode === 'serve') return 'HTTP_PORT';
  return role === 'push' ? 'PUSH_PORT' : 'MIRROR_PORT';
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
    throw listenProblem(error, host, port, portVariable(mode, config));
  }
}

/** A registry tried out on a laptop must not fail for its metrics; a deployed one must not move them unasked. */
async function startOps(
  config: Config,
  { mode, metrics, log }: StartRoleOptions,
  health: Health,
): Promise<OpsServer> {
  const { role } = config;
  const { host, metricsPort: wanted } = config.http;
  const options = { role, health, renderMetrics: () => metrics.render(role) };
  // The port after the wanted one is the other role's, so the search goes on in steps of two.
  for (let attempt = 0; ; attempt += 1) {
    const port = wanted + 2 * attempt;
    try {
      const ops = await startOpsServer(options, host, port);
      if (attempt > 0) {
        const message = `port ${wanted} for metrics is taken, so ${ops.port} is used (METRICS_PORT)`;
        log.warn({ role, metricsPort: ops.port }, message);
      }
      return ops;
    } catch (error) {
      const mayMove = mode === 'embedded' && attempt < OPS_PORT_ATTEMPTS && port + 2 <= 65_535;
      if (!mayMove || !isPortTaken(error)) throw listenProblem(error, host, port, 'METRICS_PORT');
    }
  }
}

interface RoleParts {
  readonly app: RoleApp;
  readonly http: HttpServer;
  readonly ops: OpsServer;
  readonly health: Health;
}

function running(config: Config, { app, http, ops, health }: RoleParts): RunningRole {
  const graceMs = config.shutdownGraceSeconds * 1000;
  const { role } = config;
  return {
    config,
    port: http.port,
    metricsPort: ops.port,
    stopping: () => health.stopping(),
    finishRequests: {
      name: `requests of the ${role} role`,
      capMs: graceMs + CUT_MS,
      run: () => http.close(graceMs),
    },
    closeRole: { name: `${role} role`, capMs: CLOSE_MS, run: () => app.close() },
    closeOps: { name: `metrics of the ${role} role`, capMs: CLOSE_MS, run: () => ops.close() },
  };
}
