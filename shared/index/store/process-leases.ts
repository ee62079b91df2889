import type { Clock } from '../../lifecycle/clock.ts';
import type { Lease, Leases } from '../ports.ts';

/** Never aborts: nothing can take a lease of this process away. */
const NEVER_LOST = new AbortController().signal;

/** Leases among the tasks of one process, handed on in the order in which they were asked for. */
export class ProcessLeases implements Leases {
  readonly #clock: Clock;
  /** Who waits for each held name; a name that is not here is free. */
  readonly #waiting = new Map<string, ((lease: Lease) => void)[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async acquire(name: string, waitMs: number, signal: AbortSignal): Promise<Lease | undefined> {
    signal.throwIfAborted();
    const queue = this.#waiting.get(name);
    if (!queue) {
      this.#waiting.set(name, []);
      return this.#lease(name);
    }
    if (waitMs <= 0) return undefined;
    return this.#wait(queue, waitMs, signal);
  }

  async #wait(
    queue: ((lease: Lease) => void)[],
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    const granted = new AbortController();
    let lease: Lease | undefined;
    const grant = (handedOn: Lease): void => {
      lease = handedOn;
      granted.abort();
    };
    queue.push(grant);
    try {
      await this.#clock.sleep(waitMs, AbortSignal.any([signal, granted.signal]));
    } catch {
      // Granted, or the caller left.
    }
    const place = queue.indexOf(grant);
    if (place >= 0) queue.splice(place, 1);
    if (signal.aborted) {
      await lease?.release();
      signal.throwIfAborted();
    }
    return lease;
  }

  #lease(name: string): Lease {
    let isHeld = true;
    return {
      lost: NEVER_LOST,
      release: () => {
        if (isHeld) this.#handOn(name);
        isHeld = false;
        return Promise.resolve();
      },
    };
  }

  #handOn(name: string): void {
    const next = this.#waiting.get(name)?.shift();
    if (next) next(this.#lease(name));
    else this.#waiting.delete(name);
  }
}
