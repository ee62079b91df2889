import { randomBytes } from 'node:crypto';

import { SingleFlight } from '../../../shared/concurrency/single-flight.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { internalSecretKey } from '../../../shared/storage/object-keys.ts';
import type { RecordStore } from '../../../shared/storage/record-store.ts';
import { StorageError } from '../../../shared/storage/errors.ts';

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
const SECRET = /^[0-9a-f]{64}$/;

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

  async #read(): Promise<string> {
    const found = await this.#records.get(internalSecretKey, this.#lifetime);
    const secret = requireSecret(found ?? (await this.#make()));
    this.#known = { secret, readAtMs: this.#clock.monotonicMs() };
    return secret;
  }

  /** Two that make it at once may differ until they read again, which each does when it is refused. */
  async #make(): Promise<Buffer> {
    const made = { schemaVersion: 1, secret: randomBytes(32).toString('hex') };
    await this.#records.put(internalSecretKey, Buffer.from(JSON.stringify(made)), this.#lifetime);
    const kept = await this.#records.get(internalSecretKey, this.#lifetime);
    if (!kept) throw new StorageError('internal-secret', `${internalSecretKey} vanished`);
    return kept;
  }
}

function requireSecret(bytes: Buffer): string {
  let secret: unknown;
  try {
    secret = (JSON.parse(bytes.toString('utf8')) as { secret?: unknown } | null)?.secret;
  } catch {
    secret = undefined;
  }
  if (typeof secret !== 'string' || !SECRET.test(secret)) {
    throw new StorageError('internal-secret', `${internalSecretKey} cannot be read`);
  }
  return secret;
}
