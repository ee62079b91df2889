import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';

import type { JWK } from 'jose';

import { z } from 'zod';

import { SingleFlight } from '../../concurrency/single-flight.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import { StorageError } from '../../storage/errors.ts';
import { tokenKeyKey, tokenKeysFolder } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import {
  keyId,
  publishedKey,
  requireTokenKey,
  type SigningKey,
  type TokenKeys,
} from './token-keys.ts';

/** How long what was read is used for signing without being read again. */
const READ_AGAIN_MS = 15_000;
/** Ids that nobody knows do not make everybody read more often than this. */
const SEARCH_AGAIN_MS = 2_000;
/** A new key signs when every process has had the time to read it. */
const SIGNS_AFTER_MS = 30_000;
/** A retired key is believed until its last token has lapsed: the longest life, the leeway, and who signs late. */
const BELIEVED_MS = 2 * 3600 * 1000;

const RECORD = z.object({
  schemaVersion: z.literal(1),
  createdAt: z.iso.datetime(),
  /** PEM; a retired key has none. */
  privateKey: z.string().optional(),
  publicKey: z.string(),
  retiredAt: z.iso.datetime().optional(),
});

interface StoredKey {
  readonly kid: string;
  readonly createdAtMs: number;
  readonly retiredAtMs: number | undefined;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject | undefined;
}

/**
 * Keys that lie in the store and that the first process makes. Who can read the store can sign tokens with them; with
 * AUTH_TOKEN_KEY_FILE they lie elsewhere.
 */
export class StoredKeys implements TokenKeys {
  readonly #records: RecordStore;
  readonly #clock: Clock;
  readonly #lifetime: AbortSignal;
  readonly #reading = new SingleFlight<undefined>();
  #keys: ReadonlyMap<string, StoredKey> = new Map();
  #readAtMs = -Infinity;

  constructor(records: RecordStore, clock: Clock, lifetime: AbortSignal) {
    this.#records = records;
    this.#clock = clock;
    this.#lifetime = lifetime;
  }

  async signing(): Promise<SigningKey> {
    await this.#atMost(READ_AGAIN_MS);
    const known = this.#newest();
    if (known) return known;
    await this.#reading.run('make', async () => {
      await putNewKey(this.#records, this.#clock, this.#lifetime);
      return undefined;
    });
    await this.#read();
    const made = this.#newest();
    if (!made) throw new StorageError('token-keys', 'a key that was made vanished');
    return made;
  }

  async find(kid: string): Promise<KeyObject | undefined> {
    // One that is known may have been taken away meanwhile.
    await this.#atMost(this.#keys.has(kid) ? READ_AGAIN_MS : SEARCH_AGAIN_MS);
    const key = this.#keys.get(kid);
    return key && this.#isBelieved(key) ? key.publicKey : undefined;
  }

  async published(): Promise<readonly JWK[]> {
    await this.#atMost(READ_AGAIN_MS);
    return [...this.#keys.values()]
      .filter((key) => this.#isBelieved(key))
      .map(({ kid, publicKey }) => publishedKey(kid, publicKey));
  }

  #isBelieved({ retiredAtMs }: StoredKey): boolean {
    return retiredAtMs === undefined || this.#clock.now().getTime() < retiredAtMs + BELIEVED_MS;
  }

  /** The newest that all processes know by now; where there is none, the oldest. */
  #newest(): SigningKey | undefined {
    const now = this.#clock.now().getTime();
    const able = [...this.#keys.values()]
      .filter(({ retiredAtMs }) => retiredAtMs === undefined)
      .sort((one, other) => other.createdAtMs - one.createdAtMs || (one.kid < other.kid ? -1 : 1));
    const chosen =
      able.find(({ createdAtMs }) => createdAtMs + SIGNS_AFTER_MS <= now) ?? able.at(-1);
    const { kid, privateKey } = chosen ?? {};
    return kid === undefined || !privateKey ? undefined : { kid, privateKey };
  }

  /** Reads the keys unless that was done within the time. With some at hand a store that cannot tell is no fault. */
  async #atMost(maxAgeMs: number): Promise<void> {
    if (this.#clock.monotonicMs() - this.#readAtMs < maxAgeMs) return;
    try {
      await this.#read();
    } catch (error) {
      if (this.#keys.size === 0) throw error;
    }
  }

  #read(): Promise<undefined> {
    return this.#reading.run('read', async () => {
      this.#readAtMs = this.#clock.monotonicMs();
      this.#keys = await readKeys(this.#records, this.#lifetime);
      return undefined;
    });
  }
}

/** Makes a new key, waits until it signs in every process, and retires the others. Resolves with its id. */
export async function rotateStoredKeys(
  records: RecordStore,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const kid = await putNewKey(records, clock, signal);
  // Until then the others sign: a process that does not know the new one yet would refuse its tokens.
  await clock.sleep(SIGNS_AFTER_MS, signal);
  await retireKeys(records, clock, signal, kid);
  return kid;
}

/**
 * Makes a new key and removes all others: within READ_AGAIN_MS no process signs with them, and their tokens are refused as
 * soon as what was verified is verified again. Resolves with its id.
 */
export async function distrustStoredKeys(
  records: RecordStore,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const known = await readKeys(records, signal);
  const kid = await putNewKey(records, clock, signal);
  for (const other of known.keys()) await records.delete(tokenKeyKey(other), signal);
  return kid;
}

/** All but one: their private parts are removed, their tokens are believed until they lapse. */
async function retireKeys(
  records: RecordStore,
  clock: Clock,
  signal: AbortSignal,
  newest: string,
): Promise<void> {
  const known = await readKeys(records, signal);
  const now = clock.now();
  for (const key of known.values()) {
    if (key.kid === newest) continue;
    if (key.retiredAtMs !== undefined && key.retiredAtMs + BELIEVED_MS < now.getTime()) {
      await records.delete(tokenKeyKey(key.kid), signal);
    } else if (key.retiredAtMs === undefined) {
      await putKey(
        records,
        key.kid,
        {
          schemaVersion: 1,
          createdAt: new Date(key.createdAtMs).toISOString(),
          publicKey: pem(key.publicKey),
          retiredAt: now.toISOString(),
        },
        signal,
      );
    }
  }
}

async function putNewKey(records: RecordStore, clock: Clock, signal: AbortSignal): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = keyId(publicKey);
  await putKey(
    records,
    kid,
    {
      schemaVersion: 1,
      createdAt: clock.now().toISOString(),
      publicKey: pem(publicKey),
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    },
    signal,
  );
  return kid;
}

const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' });

async function putKey(
  records: RecordStore,
  kid: string,
  record: z.output<typeof RECORD>,
  signal: AbortSignal,
): Promise<void> {
  await records.put(tokenKeyKey(kid), Buffer.from(JSON.stringify(record)), signal);
}

/** Throws StorageError, also for a key that cannot be read: believing fewer would lock people out without a word. */
async function readKeys(
  records: RecordStore,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, StoredKey>> {
  const children = await records.list(tokenKeysFolder, {}, signal);
  const keys = await Promise.all(
    children.map(async ({ name }) => {
      const kid = name.replace(/\.json$/, '');
      const bytes = await records.get(tokenKeyKey(kid), signal);
      return bytes && readKey(kid, bytes);
    }),
  );
  return new Map(keys.filter((key) => key !== undefined).map((key) => [key.kid, key]));
}

function readKey(kid: string, bytes: Buffer): StoredKey {
  try {
    const record = RECORD.parse(JSON.parse(bytes.toString('utf8')));
    const { privateKey, retiredAt } = record;
    const publicKey = requireTokenKey(createPublicKey(record.publicKey));
    if (keyId(publicKey) !== kid) throw new Error('it has the name of another key');
    return {
      kid,
      createdAtMs: Date.parse(record.createdAt),
      retiredAtMs: retiredAt === undefined ? undefined : Date.parse(retiredAt),
      publicKey,
      privateKey: privateKey === undefined ? undefined : createPrivateKey(privateKey),
    };
  } catch (cause) {
    throw new StorageError('token-keys', `${tokenKeyKey(kid)} cannot be read`, { cause });
  }
}
