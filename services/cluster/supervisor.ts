import type { LoadedConfig } from '../../shared/config/load-config.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { ProgramShare } from '../process/program-share.ts';
import type { Listening, WorkerCalls } from './calls.ts';
import { inTime } from './in-time.ts';
import { Peer } from './peer.ts';
import { WorkerAccount } from './worker-account.ts';
import type { WorkerEnd, WorkerProcess } from './worker-process.ts';

/** Before a worker is started in the place of a dead one; doubled with each death that follows soon. */
const RESTART_MS = { first: 250, last: 10_000 };
/** A worker that has served for this long was no failure from the beginning. */
const STABLE_MS = 60_000;
/** So many deaths in a row, each before that time, end the program: another start would change nothing. */
const MAX_SOON_DEAD = 5;
/** How often a worker must show that its event loop turns, and how often it may fail to. */
const PING_MS = 10_000;
const MAX_SILENT_PINGS = 3;

export interface SupervisorOptions {
  readonly config: LoadedConfig;
  readonly count: number;
  readonly launch: () => WorkerProcess;
  readonly share: ProgramShare;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEnded: (worker: Worker) => void;
  readonly onReplaced: () => void;
}

/** One process, from its start to its end. */
export interface Worker {
  readonly number: number;
  readonly peer: Peer<WorkerCalls>;
}

interface Incarnation extends Worker {
  readonly process: WorkerProcess;
  readonly account: WorkerAccount;
  readonly startedMs: number;
  silentPings: number;
}

/** A number that one worker after the other bears. */
interface Place {
  readonly number: number;
  current: Incarnation | undefined;
  predecessor: Incarnation | undefined;
  soonDead: number;
}

/** The workers of a program: started, kept alive, and ended. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #places: readonly Place[];
  readonly #stopping = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  /** With the ports that were really taken, once they are known. */
  #config: LoadedConfig;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#places = Array.from({ length: options.count }, (_, place) => ({
      number: place + 1,
      current: undefined,
      predecessor: undefined,
      soonDead: 0,
    }));
    this.#failed.promise.catch(() => undefined);
  }

  /** Rejects when the workers die as fast as they are started. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Every place with its worker, if it has one that lives. */
  get places(): readonly { readonly number: number; readonly current: Worker | undefined }[] {
    return this.#places;
  }

  /**
   * Resolves when all serve. The first starts alone: it meets what is wrong with the surroundings, which is then told
   * once, and what is done to a store once is done when the others come. Rejects with the reason that a worker gives.
   */
  async start(): Promise<readonly Listening[]> {
    const [first, ...others] = this.#places;
    if (!first) return [];
    const listening = await this.#begin(first);
    this.#config = withPorts(this.#config, listening);
    await Promise.all(others.map((place) => this.#begin(place)));
    for (const place of this.#places) void this.#keep(place);
    void this.#watch();
    return listening;
  }

  /** Lets all finish what they do, for at most `ms`; resolves when none is left. */
  async stop(ms: number): Promise<void> {
    const { clock, log } = this.#options;
    this.#stopping.abort();
    const living = this.#places.flatMap(({ current }) => current ?? []);
    for (const { peer } of living) peer.tell('stop', undefined);
    const ended = Promise.all(living.map((worker) => worker.process.ended));
    if ((await inTime(ended, ms, clock)) !== undefined) return;
    for (const { number, process } of this.#places.flatMap(({ current }) => current ?? [])) {
      log.warn({ worker: number }, 'a worker did not end in time and is killed');
      process.kill();
    }
    await ended;
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Starts a worker in the place. Rejects with its reason, or when it ends before it serves. */
  async #begin(place: Place): Promise<readonly Listening[]> {
    const { launch, share, clock } = this.#options;
    const account = new WorkerAccount(share);
    const process = launch();
    const peer = new Peer<WorkerCalls>((message) => process.send(message), account.calls);
    process.onMessage((message) => void peer.receive(message));
    const { number } = place;
    const startedMs = clock.monotonicMs();
    const worker: Incarnation = { number, peer, process, account, startedMs, silentPings: 0 };
    place.current = worker;
    void process.ended.then((end) => {
      peer.close(`worker ${number} ended (${describeEnd(end)})`);
      account.ended();
      if (place.current === worker) place.current = undefined;
      this.#options.onEnded(worker);
    });
    const listening = await peer.call('start', { number, config: this.#config });
    place.predecessor?.account.cleanedUp();
    place.predecessor = worker;
    return listening;
  }

  /** Puts a worker in the place of each that dies, until the program stops. */
  async #keep(place: Place): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    const { number } = place;
    for (;;) {
      const worker = place.predecessor;
      if (!worker) return;
      const end = await worker.process.ended;
      if (this.#isStopping()) return;
      log.error({ worker: number, pid: worker.process.pid, ...end }, 'a worker died');
      if (clock.monotonicMs() - worker.startedMs >= STABLE_MS) place.soonDead = 0;
      for (let attempt = place.soonDead; ; attempt += 1) {
        place.soonDead += 1;
        if (place.soonDead >= MAX_SOON_DEAD) {
          this.#failed.reject(new Error(`worker ${number} died ${place.soonDead} times in a row`));
          return;
        }
        const ms = Math.min(RESTART_MS.first * 2 ** attempt, RESTART_MS.last);
        await clock.sleep(ms, signal).catch(() => undefined);
        if (this.#isStopping()) return;
        if (await this.#revive(place)) break;
      }
    }
  }

  /** False when the new worker did not come to serve. */
  async #revive(place: Place): Promise<boolean> {
    const { log } = this.#options;
    try {
      await this.#begin(place);
      this.#options.onReplaced();
      log.info({ worker: place.number }, 'a worker took the place of the dead one');
      return true;
    } catch (error) {
      const failed = place.current;
      failed?.process.kill();
      await failed?.process.ended;
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ worker: place.number, reason }, 'a worker did not start');
      // What keeps one worker from starting while others serve (a store that is away) may pass.
      if (this.#places.some(({ current }) => current !== undefined)) place.soonDead -= 1;
      return false;
    }
  }

  /** Kills workers that hang: nobody else would notice, since this process answers for all. */
  async #watch(): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    for (;;) {
      await clock.sleep(PING_MS, signal).catch(() => undefined);
      if (this.#isStopping()) return;
      for (const { current } of this.#places) {
        if (!current) continue;
        // Counted, not timed: a machine that slept, or a program that was stopped as a whole, has missed one.
        if (current.silentPings >= MAX_SILENT_PINGS) {
          log.error({ worker: current.number }, 'a worker does not answer and is killed');
          current.process.kill();
          continue;
        }
        current.silentPings += 1;
        current.peer.call('ping', undefined).then(
          () => {
            current.silentPings = 0;
          },
          () => undefined,
        );
      }
    }
  }
}

/** Port 0 is any free port for the first worker, and the same one for the others. */
function withPorts(config: LoadedConfig, listening: readonly Listening[]): LoadedConfig {
  const [first, ...others] = config.roles.map((role) => {
    const port = listening.find((taken) => taken.role === role.role)?.port ?? role.http.port;
    return { ...role, http: { ...role.http, port } };
  });
  return first ? { ...config, roles: [first, ...others] } : config;
}

const describeEnd = ({ code, signal }: WorkerEnd): string =>
  signal ?? `exit code ${code ?? 'unknown'}`;
