import { randomBytes } from 'node:crypto';

import { SingleFlight } from '../../../shared/concurrency/single-flight.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { type MadeOnce, readMadeOnce } from '../../../shared/storage/made-once.ts';
import { internalSecretKey } from '../../../shared/storage/object-keys.ts';
import type { RecordStore } from '../../../shared/storage/record-store.ts';

/** What the processes of one store know and nobody else. */
export interface PeerSecret {
  current(): Promise<string>;
  /** Looked up anew, if that was not done just now: another process may have made it at the same time. */
  reread(): Promise<string>;
}

export const configuredSecret = (secret: string): PeerSecret => ({
  current: () => Promise.resolve(secret),
  reread: () => Promise.resolve(secret),
});

const REREAD_MS = 2_000;
const INTERNAL_SECRET: MadeOnce = {
  key: internalSecretKey,
  operation: 'internal-secret',
  field: 'secret',
  pattern: /^[0-9a-f]{64}$/,
  make: () => randomBytes(32).toString('hex'),
};

/**
 * A secret that the first process makes and keeps in the store. Who can read the store needs no secret: it gives all that
 * the processes give each other. Throws StorageError.
 */
export class StoredSecret implements PeerSecret {
  readonly #records: RecordStore;
  readonly #clock: Clock;
  readonly #lifetime: AbortSignal;
  readonly #reading = new SingleFlight<string>();
  #known: { readonly secret: string; readonly readAtMs: number } | undefined;

  constructor(records: RecordStore, clock: Clock, lifetime: AbortSignal) {
    this.#records = records;
    this.#clock = clock;
    this.#lifetime = lifetime;
  }

  async current(): Promise<string> {
    return this.#known?.secret ?? (await this.#reading.run('', () => this.#read()));
  }

  async reread(): Promise<string> {
    const known = this.#known;
    if (known && this.#clock.monotonicMs() - known.readAtMs < REREAD_MS) return known.secret;
    return this.#reading.run('', () => this.#read());
  }

  /** Two that make it at once may differ until they read again, which each does when it is refused. */
  async #read(): Promise<string> {
    const secret = await readMadeOnce(this.#records, INTERNAL_SECRET, this.#lifetime);
    this.#known = { secret, readAtMs: this.#clock.monotonicMs() };
    return secret;
  }
}
