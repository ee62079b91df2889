import type { LoadedConfig } from '../../shared/config/load-config.ts';
import { describeConfig } from '../../shared/config/describe-config.ts';
import { armCrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { runShutdown } from '../../shared/lifecycle/shutdown.ts';
import { Metrics } from '../../shared/observability/metrics.ts';
import type { OpsServer } from '../../shared/observability/ops-server.ts';
import { aborted } from './aborted.ts';
import { banner } from './banner.ts';
import { closing } from './close-ops-servers.ts';
import { createProgramShare } from './program-share.ts';
import type { ServeOptions } from './process-host.ts';
import { RoleService } from './role-service.ts';
import { describeStartFailure } from './start-problem.ts';
import { startRoleOpsServer } from './start-role-ops-server.ts';
import { VERSION } from '../version.ts';

/**
 * Serves in this process alone: starts the roles, serves until told to stop and closes everything. Resolves with the
 * exit code.
 */
export async function serveAlone(config: LoadedConfig, options: ServeOptions): Promise<number> {
  const { host, log, clock, signal } = options;
  const [{ crashPoint }] = config.roles;
  if (crashPoint !== undefined) armCrashPoint(crashPoint);
  const metrics = new Metrics({ version: VERSION });
  const share = createProgramShare(config, clock, (text) => host.print(text));
  const service = await RoleService.open(config, {
    clock,
    log,
    metrics,
    share,
    sharesPorts: false,
  });
  const servers: OpsServer[] = [];
  let code = 0;
  try {
    // A start that cannot be stopped midway is left behind: the process ends.
    await Promise.race([start(config, service, { ...options, metrics, servers }), aborted(signal)]);
    await aborted(signal);
  } catch (error) {
    if (!signal.aborted) {
      code = 1;
      host.printError(describeStartFailure(error));
      log.debug({ err: error }, 'the start failed');
    }
  }
  service.stopping();
  const phases = [...service.shutdownPhases(), closing(servers)];
  for (const { phase, error } of await runShutdown(phases, clock)) {
    log.warn({ err: error, phase }, 'not closed in order');
  }
  if (code === 0) log.info({}, 'stopped');
  return code;
}

interface StartOptions extends ServeOptions {
  readonly metrics: Metrics;
  /** Takes what is started. */
  readonly servers: OpsServer[];
}

async function start(
  { mode }: LoadedConfig,
  service: RoleService,
  { host, metrics, servers, signal }: StartOptions,
): Promise<void> {
  for (const { config, health, log } of service.watches) {
    const { role } = config;
    log.info({ config: describeConfig(config) }, 'starting');
    const source = {
      role,
      readiness: () => health.readiness(),
      renderMetrics: () => metrics.render(role),
    };
    servers.push(await startRoleOpsServer(config, mode, source, log));
  }
  const roles = await service.start(signal);
  signal.throwIfAborted();
  const [push, mirror] = roles.map(({ config, port }, place) => ({
    config,
    port,
    metricsPort: servers[place]?.port ?? 0,
  }));
  if (push && mirror) host.print(banner(VERSION, push, mirror));
}
