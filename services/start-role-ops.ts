import type { Config } from '../shared/config/config.ts';
import type { Mode } from '../shared/config/create-roles.ts';
import { describeConfig } from '../shared/config/describe-config.ts';
import { askStore } from '../shared/content/store-probe.ts';
import type { Clock } from '../shared/lifecycle/clock.ts';
import { Health } from '../shared/observability/health.ts';
import type { Logger } from '../shared/observability/logger.ts';
import type { Metrics } from '../shared/observability/metrics.ts';
import type { Observer } from '../shared/observability/observer.ts';
import { type OpsServer, startOpsServer } from '../shared/observability/ops-server.ts';
import type { RecordStore } from '../shared/storage/record-store.ts';
import { isPortTaken, listenProblem } from './start-problem.ts';

export interface RoleOpsOptions {
  readonly mode: Mode;
  readonly records: RecordStore;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A role that can be watched, before it serves and until it has ended. */
export interface RoleOps {
  readonly config: Config;
  readonly log: Logger;
  readonly observer: Observer;
  readonly health: Health;
  readonly server: OpsServer;
  /** From here on readiness tells what these say is degraded. */
  watch(degraded: () => Promise<readonly string[]>): void;
}

/** How many more ports are tried for metrics when both roles run in one process. */
const MORE_PORTS = 20;

/** Starts health and metrics of a role: an orchestrator sees it start, and why it does not get ready. */
export async function startRoleOps(config: Config, options: RoleOpsOptions): Promise<RoleOps> {
  const { role } = config;
  const { clock, metrics, mode, records } = options;
  const log = options.log.with({ role });
  log.info({ config: describeConfig(config) }, 'starting');
  let degraded = (): Promise<readonly string[]> => Promise.resolve([]);
  const health = new Health({
    clock,
    probeStore: (signal) => askStore(records, signal),
    degraded: () => degraded(),
  });
  const observer = metrics.observer(role);
  const { host, metricsPort } = config.http;
  const server = await listenNear(
    metricsPort,
    mode === 'embedded' ? MORE_PORTS : 0,
    (port) =>
      startOpsServer({ role, health, renderMetrics: () => metrics.render(role) }, host, port),
    host,
  );
  if (metricsPort !== 0 && server.port !== metricsPort) {
    const message = `port ${metricsPort} for metrics is taken, so ${server.port} is used (METRICS_PORT)`;
    log.warn({ metricsPort: server.port }, message);
  }
  return {
    config,
    log,
    observer,
    health,
    server,
    watch: (told) => {
      degraded = told;
    },
  };
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
