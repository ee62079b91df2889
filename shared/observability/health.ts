import type { Clock } from '../lifecycle/clock.ts';

/** How long an answer of the store to the probe is good for. */
const PROBE_CACHE_MS = 5000;
/** A store that needs longer for a small read cannot serve. */
const PROBE_DEADLINE_MS = 3000;

export interface HealthOptions {
  readonly clock: Clock;
  /** A small read of the store; rejects when it does not answer. */
  readonly probeStore: (signal: AbortSignal) => Promise<unknown>;
  /** What does not work and is not needed to serve: Redis, upstreams. */
  readonly degraded: () => Promise<readonly string[]>;
  /** Undefined as long as nothing is known. */
  readonly storeTraits?: () => StoreTraits | undefined;
}

/** What a store was found to guarantee, by the names of its traits; empty when that could not be found out. */
export type StoreTraits = Readonly<Record<string, boolean | 'unknown'>>;

export interface Readiness {
  readonly isReady: boolean;
  readonly state: 'starting' | 'ready' | 'stopping' | 'store-unavailable' | 'workers-unavailable';
  readonly degraded: readonly string[];
  /** Known some time after the start. Nothing depends on it. */
  readonly store?: StoreTraits;
  /** Of a program of several processes. */
  readonly workers?: readonly WorkerReadiness[];
}

/** `restarting`: there is no process; `silent`: it does not answer. */
export interface WorkerReadiness {
  readonly worker: number;
  readonly state: Readiness['state'] | 'restarting' | 'silent';
}

interface Probe {
  readonly startedMs: number;
  readonly isAnswered: Promise<boolean>;
}

/**
 * Whether a role should get requests: not before its start-up is complete, not while it stops, and not when its store
 * fails. Redis and upstreams never count: the role serves without them, and taking it away would only make it worse.
 */
export class Health {
  readonly #options: HealthOptions;
  #state: 'starting' | 'ready' | 'stopping' = 'starting';
  #probe: Probe | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Start-up is complete. */
  started(): void {
    if (this.#state === 'starting') this.#state = 'ready';
  }

  /** Shutdown has begun; there is no way back. */
  stopping(): void {
    this.#state = 'stopping';
  }

  /** Never rejects; asks the store at most once in five seconds. */
  async readiness(): Promise<Readiness> {
    if (this.#state !== 'ready') return { isReady: false, state: this.#state, degraded: [] };
    const [isStoreWell, degraded] = await Promise.all([this.#storeAnswers(), this.#degraded()]);
    const store = this.#options.storeTraits?.();
    const known = store === undefined ? {} : { store };
    return isStoreWell
      ? { isReady: true, state: 'ready', degraded, ...known }
      : { isReady: false, state: 'store-unavailable', degraded, ...known };
  }

  #storeAnswers(): Promise<boolean> {
    const now = this.#options.clock.monotonicMs();
    if (this.#probe === undefined || now - this.#probe.startedMs >= PROBE_CACHE_MS) {
      this.#probe = { startedMs: now, isAnswered: this.#askStore() };
    }
    return this.#probe.isAnswered;
  }

  async #askStore(): Promise<boolean> {
    return await this.#withinDeadline(async (signal) => {
      await this.#options.probeStore(signal);
      return true;
    }, false);
  }

  #degraded(): Promise<readonly string[]> {
    return this.#withinDeadline(() => this.#options.degraded(), ['unknown']);
  }

  /** The work's result; `otherwise` when it fails or is not done in time, even if it never ends. */
  async #withinDeadline<Result>(
    work: (signal: AbortSignal) => Promise<Result>,
    otherwise: Result,
  ): Promise<Result> {
    const deadline = new AbortController();
    const expired = this.#options.clock.sleep(PROBE_DEADLINE_MS, deadline.signal).then(
      () => otherwise,
      () => otherwise,
    );
    try {
      return await Promise.race([work(deadline.signal), expired]);
    } catch {
      return otherwise;
    } finally {
      deadline.abort();
    }
  }
}
