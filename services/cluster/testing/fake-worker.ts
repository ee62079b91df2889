import type { Readiness } from '../../../shared/observability/health.ts';
import type { PrimaryCalls, WorkerCalls, WorkerJob } from '../calls.ts';
import { Peer, type PeerMessage } from '../peer.ts';
import type { WorkerEnd, WorkerProcess } from '../worker-process.ts';

const READY: Readiness = { isReady: true, state: 'ready', degraded: [] };

/** A worker without a process, that does what the test says. */
export class FakeWorker implements WorkerProcess {
  readonly pid = 1;
  readonly ended: Promise<WorkerEnd>;
  /** The worker's side of the channel. */
  readonly primary: Peer<PrimaryCalls>;
  job: WorkerJob | undefined;
  isHanging = false;
  #toPrimary: (message: PeerMessage) => void = () => undefined;
  readonly #end = Promise.withResolvers<WorkerEnd>();

  /** `problem`: why it does not start. */
  constructor(problem?: string) {
    this.ended = this.#end.promise;
    const calls: WorkerCalls = {
      start: (job) => {
        this.job = job;
        return problem === undefined
          ? Promise.resolve([{ role: job.config.roles[0].role, port: 5000 + job.number }])
          : Promise.reject(new Error(problem));
      },
      readiness: () => Promise.resolve(READY),
      metrics: () => Promise.resolve({ process: [], roles: {} }),
      ping: () => undefined,
      stop: () => this.die({ code: 0, signal: null }),
    };
    this.primary = new Peer<PrimaryCalls>((message) => this.#toPrimary(message), calls);
  }

  send(message: PeerMessage): void {
    if (!this.isHanging) void this.primary.receive(message);
  }

  onMessage(listener: (message: PeerMessage) => void): void {
    this.#toPrimary = listener;
  }

  kill(): void {
    this.die({ code: null, signal: 'SIGKILL' });
  }

  die(end: WorkerEnd): void {
    this.#end.resolve(end);
  }
}
