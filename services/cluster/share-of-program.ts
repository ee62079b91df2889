import { randomUUID } from 'node:crypto';

import type { ByteBudget } from '../../shared/concurrency/byte-budget.ts';
import type { Lease, Leases, LeaseTerms, SharedHints } from '../../shared/index/ports.ts';
import type { ProgramShare } from '../process/program-share.ts';
import type { PrimaryCalls } from './calls.ts';
import type { Peer } from './peer.ts';

type Primary = Peer<PrimaryCalls>;

/** A worker's hands on what all workers have in common; the primary process keeps it. */
export function shareOfProgram(primary: Primary): ProgramShare {
  return {
    leases: new PrimaryLeases(primary),
    hints: hintsOf(primary),
    spoolRoom: roomOf(primary),
    announce: (text) => primary.tell('announce', text),
  };
}

/** Never aborts: a worker does not outlive the primary process, and who was given a lease in its stead does not tell it. */
const NEVER_LOST = new AbortController().signal;

/** Leases among all workers of the program. */
class PrimaryLeases implements Leases {
  readonly #primary: Primary;
  #lastId = 0;

  constructor(primary: Primary) {
    this.#primary = primary;
  }

  async acquire(
    name: string,
    waitMs: number,
    signal: AbortSignal,
    terms: LeaseTerms = { claim: randomUUID() },
  ): Promise<Lease | undefined> {
    signal.throwIfAborted();
    const id = (this.#lastId += 1);
    let isHeld = true;
    const release = (): Promise<void> => {
      if (isHeld) this.#primary.tell('lease.release', id);
      isHeld = false;
      return Promise.resolve();
    };
    const leave = (): void => void release();
    signal.addEventListener('abort', leave, { once: true });
    try {
      const isAcquired = await this.#primary.call('lease.acquire', { id, name, waitMs, terms });
      signal.throwIfAborted();
      return isAcquired ? { reach: 'program', lost: NEVER_LOST, release } : undefined;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  holder(name: string): Promise<string | undefined> {
    return this.#primary.call('lease.holder', name);
  }
}

function hintsOf(primary: Primary): SharedHints {
  return {
    get: (name) => primary.call('hint.get', name),
    put: (name, value, ttlMs) => primary.call('hint.put', { name, value, ttlMs }),
  };
}

function roomOf(primary: Primary): ByteBudget {
  return {
    reserve: (bytes) => primary.call('room.reserve', bytes),
    release: (bytes) => primary.tell('room.release', bytes),
  };
}
