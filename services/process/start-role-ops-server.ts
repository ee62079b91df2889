import type { Config } from '../../shared/config/config.ts';
import type { Mode } from '../../shared/config/create-roles.ts';
import type { Log } from '../../shared/observability/observer.ts';
import {
  type OpsServer,
  type OpsServerOptions,
  startOpsServer,
} from '../../shared/observability/ops-server.ts';
import { isPortTaken, listenProblem } from './start-problem.ts';

/** How many more ports are tried for metrics when both roles run in one process. */
const MORE_PORTS = 20;

/** Serves health and metrics of a role: an orchestrator sees it start, and why it does not get ready. */
export async function startRoleOpsServer(
  { http }: Config,
  mode: Mode,
  options: Omit<OpsServerOptions, 'log'>,
  log: Log,
): Promise<OpsServer> {
  const { host, metricsPort } = http;
  const server = await listenNear(
    metricsPort,
    mode === 'embedded' ? MORE_PORTS : 0,
    (port) => startOpsServer({ ...options, log }, host, port),
    host,
  );
  if (metricsPort !== 0 && server.port !== metricsPort) {
    const message = `port ${metricsPort} for metrics is taken, so ${server.port} is used (METRICS_PORT)`;
    log.warn({ metricsPort: server.port }, message);
  }
  return server;
}

/**
 * A registry tried out on a laptop must not fail for its metrics; a deployed one must not move them unasked. The port
 * after the wanted one is the other role's, so the search goes on in steps of two.
 */
async function listenNear(
  wanted: number,
  morePorts: number,
  start: (port: number) => Promise<OpsServer>,
  host: string,
): Promise<OpsServer> {
  for (let attempt = 0; ; attempt += 1) {
    const port = wanted + 2 * attempt;
    try {
      return await start(port);
    } catch (error) {
      const mayMove = attempt < morePorts && port + 2 <= 65_535 && isPortTaken(error);
      if (!mayMove) throw listenProblem(error, host, port, 'METRICS_PORT');
    }
  }
}
