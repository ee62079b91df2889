import { armCrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { runShutdown } from '../../shared/lifecycle/shutdown.ts';
import { createLogger, type Logger } from '../../shared/observability/logger.ts';
import { Metrics } from '../../shared/observability/metrics.ts';
import type { Role } from '../../shared/observability/observer.ts';
import type { Readiness } from '../../shared/observability/health.ts';
import { aborted } from '../process/aborted.ts';
import { RoleService } from '../process/role-service.ts';
import { describeReason } from '../../shared/observability/describe-reason.ts';
import { VERSION } from '../version.ts';
import type { Listening, PrimaryCalls, WorkerCalls, WorkerJob } from './calls.ts';
import { Peer, type PeerMessage } from './peer.ts';
import { shareOfProgram } from './share-of-program.ts';
import { configOfWorker } from './config-of-worker.ts';

/** The process of a worker as the program sees it. */
export interface WorkerHost {
  /** To the primary process. */
  send(message: PeerMessage): void;
  onMessage(listener: (message: PeerMessage) => void): void;
  exit(code: number): void;
}

const STARTING: Readiness = { isReady: false, state: 'starting', degraded: [] };

/** The life of a worker: it does what the primary process says, and ends with 0 when it is told to. */
export function runWorker(host: WorkerHost): void {
  const worker = new WorkerService();
  const calls: WorkerCalls = {
    start: (job) => worker.start(job, primary),
    readiness: (role) => worker.readiness(role),
    metrics: () => worker.metrics.snapshot(),
    ping: () => undefined,
    stop: () => void worker.stop().then(() => host.exit(0)),
  };
  const primary = new Peer<PrimaryCalls>((message) => host.send(message), calls);
  host.onMessage((message) => void primary.receive(message));
}

class WorkerService {
  readonly metrics = new Metrics({ version: VERSION });
  readonly #stop = new AbortController();
  #service: RoleService | undefined;
  #log: Logger | undefined;

  /** Rejects with what a person should read. */
  async start(
    { number, config }: WorkerJob,
    primary: Peer<PrimaryCalls>,
  ): Promise<readonly Listening[]> {
    const [{ logLevel, crashPoint }] = config.roles;
    const log = createLogger({ level: logLevel }).with({ worker: number });
    this.#log = log;
    if (crashPoint !== undefined) armCrashPoint(crashPoint);
    const { signal } = this.#stop;
    try {
      const service = await RoleService.open(configOfWorker(config, number), {
        clock: systemClock,
        log,
        metrics: this.metrics,
        share: shareOfProgram(primary),
        sharesPorts: true,
      });
      this.#service = service;
      // A start that cannot be stopped midway is left behind: the process ends.
      const roles = await Promise.race([service.start(signal), aborted(signal)]);
      signal.throwIfAborted();
      return (roles ?? []).map(({ config: { role }, port }) => ({ role, port }));
    } catch (error) {
      log.debug({ err: error }, 'the start failed');
      throw new Error(describeReason(error), { cause: error });
    }
  }

  async readiness(role: Role): Promise<Readiness> {
    const watch = this.#service?.watches.find(({ config }) => config.role === role);
    return (await watch?.health.readiness()) ?? STARTING;
  }

  /** Resolves when everything is closed, as well as that can be done. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#service?.stopping();
    const phases = this.#service?.shutdownPhases() ?? [];
    for (const { phase, error } of await runShutdown(phases, systemClock)) {
      this.#log?.warn({ err: error, phase }, 'not closed in order');
    }
    this.#log?.info({}, 'stopped');
  }
}
