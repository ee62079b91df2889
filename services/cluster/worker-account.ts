import type { Lease } from '../../shared/index/ports.ts';
import type { ProgramShare } from '../process/program-share.ts';
import type { Hint, PrimaryCalls, WantedLease } from './calls.ts';

interface LeaseEntry {
  readonly left: AbortController;
  lease?: Lease;
}

/** What one worker has taken of the share of the program, so that nothing of it is lost with the worker. */
export class WorkerAccount {
  readonly calls: PrimaryCalls;
  readonly #share: ProgramShare;
  readonly #leases = new Map<number, LeaseEntry>();
  #roomBytes = 0;

  constructor(share: ProgramShare) {
    this.#share = share;
    this.calls = {
      'lease.acquire': (wanted) => this.#acquire(wanted),
      'lease.release': (id) => this.#release(id),
      'lease.holder': (name) => share.leases.holder(name),
      'hint.get': (name) => share.hints.get(name),
      'hint.put': ({ name, value, ttlMs }: Hint) => share.hints.put(name, value, ttlMs),
      'room.reserve': async (bytes) => {
        const isReserved = await share.spoolRoom.reserve(bytes);
        if (isReserved) this.#roomBytes += bytes;
        return isReserved;
      },
      'room.release': (bytes) => {
        this.#roomBytes -= bytes;
        share.spoolRoom.release(bytes);
      },
      announce: (text) => share.announce(text),
    };
  }

  /** The worker is gone: others may hold what it held. */
  ended(): void {
    for (const id of [...this.#leases.keys()]) this.#release(id);
  }

  /** What the worker had spooled is removed: another that took its place did that when it began. */
  cleanedUp(): void {
    this.#share.spoolRoom.release(this.#roomBytes);
    this.#roomBytes = 0;
  }

  async #acquire({ id, name, waitMs, terms }: WantedLease): Promise<boolean> {
    const entry: LeaseEntry = { left: new AbortController() };
    this.#leases.set(id, entry);
    try {
      const lease = await this.#share.leases.acquire(name, waitMs, entry.left.signal, terms);
      if (lease) {
        // The worker may have left while the lease was on its way.
        if (entry.left.signal.aborted) await lease.release();
        else entry.lease = lease;
      }
      return lease !== undefined;
    } finally {
      if (!entry.lease) this.#leases.delete(id);
    }
  }

  #release(id: number): void {
    const entry = this.#leases.get(id);
    if (!entry) return;
    this.#leases.delete(id);
    entry.left.abort(new Error('the worker left'));
    void entry.lease?.release();
  }
}
