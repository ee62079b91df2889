import { randomUUID } from 'node:crypto';

import type { Clock } from '../../lifecycle/clock.ts';
import type { Lease, Leases, LeaseTerms } from '../ports.ts';

interface Holding {
  readonly claim: string;
  readonly lost: AbortController;
}

interface Waiting {
  readonly claim: string;
  grant(lease: Lease): void;
}

interface HeldName {
  holding: Holding;
  readonly waiting: Waiting[];
}

/** Leases among the tasks of one process, handed on in the order in which they were asked for. */
export class ProcessLeases implements Leases {
  readonly #clock: Clock;
  /** A name that is not here is free. */
  readonly #held = new Map<string, HeldName>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async acquire(
    name: string,
    waitMs: number,
    signal: AbortSignal,
    { claim, insteadOf }: LeaseTerms = { claim: randomUUID() },
  ): Promise<Lease | undefined> {
    signal.throwIfAborted();
    const held = this.#held.get(name);
    if (held && held.holding.claim === insteadOf) {
      held.holding.lost.abort(new Error(`the lease ${name} was given to another`));
      return this.#lease(name, held.waiting, claim);
    }
    if (!held) return this.#lease(name, [], claim);
    if (waitMs <= 0) return undefined;
    return this.#wait(held.waiting, claim, waitMs, signal);
  }

  holder(name: string): Promise<string | undefined> {
    return Promise.resolve(this.#held.get(name)?.holding.claim);
  }

  async #wait(
    queue: Waiting[],
    claim: string,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    const granted = new AbortController();
    let lease: Lease | undefined;
    const place: Waiting = {
      claim,
      grant: (handedOn) => {
        lease = handedOn;
        granted.abort();
      },
    };
    queue.push(place);
    try {
      await this.#clock.sleep(waitMs, AbortSignal.any([signal, granted.signal]));
    } catch {
      // Granted, or the caller left.
    }
    const index = queue.indexOf(place);
    if (index >= 0) queue.splice(index, 1);
    if (signal.aborted) {
      await lease?.release();
      signal.throwIfAborted();
    }
    return lease;
  }

  #lease(name: string, waiting: Waiting[], claim: string): Lease {
    const holding: Holding = { claim, lost: new AbortController() };
    this.#held.set(name, { holding, waiting });
    return {
      reach: 'process',
      lost: holding.lost.signal,
      release: () => {
        if (this.#held.get(name)?.holding === holding) this.#handOn(name, waiting);
        return Promise.resolve();
      },
    };
  }

  #handOn(name: string, waiting: Waiting[]): void {
    const next = waiting.shift();
    if (next) next.grant(this.#lease(name, waiting, next.claim));
    else this.#held.delete(name);
  }
}
