import { createServer } from 'node:net';

import type { Config } from '../../shared/config/config.ts';
import { describeConfig } from '../../shared/config/describe-config.ts';
import type { Mode } from '../../shared/config/create-roles.ts';
import type { LoadedConfig } from '../../shared/config/load-config.ts';
import { runShutdown, type ShutdownPhase } from '../../shared/lifecycle/shutdown.ts';
import type { Readiness } from '../../shared/observability/health.ts';
import type { Role } from '../../shared/observability/observer.ts';
import type { OpsServer } from '../../shared/observability/ops-server.ts';
import { aborted } from '../process/aborted.ts';
import { banner } from '../process/banner.ts';
import { closing } from '../process/close-ops-servers.ts';
import type { ServeOptions } from '../process/process-host.ts';
import { createProgramShare } from '../process/program-share.ts';
import { describeStartFailure, listenProblem, portVariable } from '../process/start-problem.ts';
import { startRoleOpsServer } from '../process/start-role-ops-server.ts';
import { VERSION } from '../version.ts';
import { jointReadiness } from './joint-readiness.ts';
import { launchWorker } from './launch-worker.ts';
import { SummedMetrics } from './summed-metrics.ts';
import { Supervisor, type Worker } from './supervisor.ts';

/** What workers need to end beyond the time for requests: their background work, index and store. */
const END_MS = 15_000;
/** What is left of killed processes. */
const KILL_MS = 2_000;

/**
 * Serves with several processes on the same ports: starts them, keeps them alive, answers health and metrics for all,
 * and ends them. Resolves with the exit code.
 */
export async function serveWithWorkers(
  config: LoadedConfig,
  count: number,
  options: ServeOptions,
): Promise<number> {
  const { host, log, clock, signal } = options;
  const program = new Program(config, count, options);
  let code = 0;
  let hasStarted = false;
  try {
    await Promise.race([program.start(), aborted(signal)]);
    hasStarted = true;
    await Promise.race([program.failed, aborted(signal)]);
  } catch (error) {
    if (!signal.aborted) {
      code = 1;
      if (hasStarted) log.error({ err: error }, 'the program ends');
      else host.printError(describeStartFailure(error));
    }
  }
  const faults = await runShutdown(program.shutdownPhases(), clock);
  for (const { phase, error } of faults) log.warn({ err: error, phase }, 'not closed in order');
  if (code === 0) log.info({}, 'stopped');
  return code;
}

/** A program whose first process starts the others, and serves nothing but health and metrics itself. */
class Program {
  readonly #config: LoadedConfig;
  readonly #options: ServeOptions;
  readonly #supervisor: Supervisor;
  readonly #metrics: SummedMetrics;
  readonly #servers: OpsServer[] = [];
  #state: 'starting' | 'serving' | 'stopping' = 'starting';

  constructor(config: LoadedConfig, count: number, options: ServeOptions) {
    const { clock, host, log } = options;
    this.#config = config;
    this.#options = options;
    const metrics = new SummedMetrics(clock);
    this.#metrics = metrics;
    this.#supervisor = new Supervisor({
      config,
      count,
      launch: launchWorker,
      share: createProgramShare(config, clock, (text) => host.print(text)),
      clock,
      log,
      onEnded: (worker) => metrics.ended(worker),
      onReplaced: () => metrics.restarted(),
    });
  }

  /** Rejects when the workers die as fast as they are started. */
  get failed(): Promise<never> {
    return this.#supervisor.failed;
  }

  async start(): Promise<void> {
    const { mode, roles } = this.#config;
    const { host, log, signal } = this.#options;
    for (const config of roles) {
      const { role } = config;
      const roleLog = log.with({ role });
      roleLog.info({ config: describeConfig(config) }, 'starting');
      const source = {
        role,
        readiness: () => this.#readiness(role),
        renderMetrics: () => this.#metrics.render(role, this.#living()),
      };
      this.#servers.push(await startRoleOpsServer(config, mode, source, roleLog));
    }
    // The workers may share a port with whoever lets them, so a program that has it already must be met here.
    for (const config of roles) await requireFreePort(config, mode);
    signal.throwIfAborted();
    const listening = await this.#supervisor.start();
    signal.throwIfAborted();
    this.#state = 'serving';
    log.info({ workers: this.#supervisor.places.length }, 'all workers are ready');
    const [push, mirror] = roles.map((config, place) => ({
      config,
      port: listening.find(({ role }) => role === config.role)?.port ?? 0,
      metricsPort: this.#servers[place]?.port ?? 0,
    }));
    if (push && mirror) host.print(banner(VERSION, push, mirror));
  }

  shutdownPhases(): ShutdownPhase[] {
    this.#state = 'stopping';
    const [{ shutdownGraceSeconds }] = this.#config.roles;
    const ms = shutdownGraceSeconds * 1000 + END_MS;
    return [
      { name: 'workers', capMs: ms + KILL_MS, run: () => this.#supervisor.stop(ms) },
      closing(this.#servers),
    ];
  }

  #living(): Worker[] {
    return this.#supervisor.places.flatMap(({ current }) => current ?? []);
  }

  async #readiness(role: Role): Promise<Readiness> {
    const workers = this.#supervisor.places.map(({ number, current }) => ({
      number,
      ask: current && (() => current.peer.call('readiness', role)),
    }));
    const absent = this.#state === 'starting' ? 'starting' : 'restarting';
    const joint = await jointReadiness(workers, absent, this.#options.clock);
    // Until all have come and when all are to go it is not ready, whatever the first and the last of them say.
    return this.#state === 'serving' ? joint : { ...joint, isReady: false, state: this.#state };
  }
}

/** Rejects with what a person should read when somebody listens there. */
async function requireFreePort({ role, http }: Config, mode: Mode): Promise<void> {
  const { host, port } = http;
  if (port === 0) return;
  const server = createServer();
  const listening = Promise.withResolvers<undefined>();
  server.once('error', (error) => {
    listening.reject(listenProblem(error, host, port, portVariable(mode, role)));
  });
  server.listen(port, host, () => listening.resolve(undefined));
  await listening.promise;
  await new Promise((resolve) => server.close(resolve));
}
