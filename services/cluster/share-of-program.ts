import type { ByteBudget } from '../../shared/concurrency/byte-budget.ts';
import type { Lease, Leases, SharedHints } from '../../shared/index/ports.ts';
import type { ProgramShare } from '../program-share.ts';
import type { PrimaryCalls } from './calls.ts';
import type { Peer } from './peer.ts';

type Primary = Peer<PrimaryCalls>;

/** A worker's hands on what all workers have in common; the primary process keeps it. */
export function shareOfProgram(primary: Primary): ProgramShare {
  return {
    leases: new PrimaryLeases(primary),
    hints: hintsOf(primary),
    spoolRoom: roomOf(primary),
  };
}

/** Never aborts: the primary process takes no lease away, and a worker does not outlive it. */
const NEVER_LOST = new AbortController().signal;

/** Leases among all workers of the program. */
class PrimaryLeases implements Leases {
  readonly #primary: Primary;
  #lastId = 0;

  constructor(primary: Primary) {
    this.#primary = primary;
  }

  async acquire(name: string, waitMs: number, signal: AbortSignal): Promise<Lease | undefined> {
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
      const isAcquired = await this.#primary.call('lease.acquire', { id, name, waitMs });
      signal.throwIfAborted();
      return isAcquired ? { lost: NEVER_LOST, release } : undefined;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
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
