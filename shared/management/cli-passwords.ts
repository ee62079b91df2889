import { randomBytes } from 'node:crypto';

import { z } from 'zod';

import type { Identity } from '../auth/identity.ts';
import { hashSecret, makeSecret } from '../auth/random-secret.ts';
import { formatJsonRecord, requireJsonRecord } from '../index/store/json-record.ts';
import { mapBounded } from '../index/store/map-bounded.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { registryError } from '../oci/errors.ts';
import { cliPasswordKey, cliPasswordsFolder, cliPasswordUseKey } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { personHash } from './people.ts';

/** More than anybody has machines; each is a record that is read when they are listed. */
const MAX_PER_PERSON = 50;
const SUFFIX = '.json';
/** `twp_`, the person's hash, the password's id, then 256 random bits. */
const SECRET = /^twp_([0-9a-f]{32})([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

const schema = z.object({
  schemaVersion: z.literal(1),
  id: z.string(),
  ownerId: z.string(),
  label: z.string(),
  secretHash: z.string(),
  createdAt: z.string(),
  expiresAt: z.string(),
});

export type CliPasswordRecord = z.infer<typeof schema>;

/** Where the record of a secret stands. */
export interface CliPasswordPlace {
  readonly person: string;
  readonly id: string;
}

/** Undefined for secrets of another kind. */
export function parseCliPassword(secret: string): CliPasswordPlace | undefined {
  const [, person, id] = SECRET.exec(secret) ?? [];
  return person === undefined || id === undefined ? undefined : { person, id };
}

/** Passwords that people make for the command line of docker and the like. Nothing here asks who may do it. */
export class CliPasswords {
  readonly #records: RecordStore;
  readonly #clock: Clock;

  constructor(records: RecordStore, clock: Clock) {
    this.#records = records;
    this.#clock = clock;
  }

  /** Resolves with the secret, which is kept nowhere. Throws DENIED when the person has very many already. */
  async make(
    owner: Identity,
    { label, expiresAt }: { readonly label: string; readonly expiresAt: Date },
    signal: AbortSignal,
  ): Promise<{ readonly secret: string; readonly record: CliPasswordRecord }> {
    const person = personHash(owner.id);
    if ((await this.#ids(person, signal)).length >= MAX_PER_PERSON) {
      throw registryError('DENIED', {
        message: `nobody may have more than ${MAX_PER_PERSON} passwords for the command line; revoke one first`,
      });
    }
    const id = randomBytes(8).toString('hex');
    const secret = makeSecret().replace('_', `_${person}${id}_`);
    const record: CliPasswordRecord = {
      schemaVersion: 1,
      id,
      ownerId: owner.id,
      label,
      secretHash: hashSecret(secret),
      createdAt: this.#clock.now().toISOString(),
      expiresAt: expiresAt.toISOString(),
    };
    await this.#records.put(cliPasswordKey(person, id), formatJsonRecord(record), signal);
    return { secret, record };
  }

  /** As the store has it now. */
  async find(place: CliPasswordPlace, signal: AbortSignal): Promise<CliPasswordRecord | undefined> {
    const key = cliPasswordKey(place.person, place.id);
    const bytes = await this.#records.get(key, signal);
    return bytes && requireJsonRecord(bytes, schema, key);
  }

  /** Those of a person, the oldest first. */
  async list(ownerId: string, signal: AbortSignal): Promise<CliPasswordRecord[]> {
    const person = personHash(ownerId);
    const ids = await this.#ids(person, signal);
    const all = await mapBounded(ids, (id) => this.find({ person, id }, signal));
    return all
      .filter((record) => record !== undefined)
      .sort((one, other) => one.createdAt.localeCompare(other.createdAt));
  }

  /** False when the person has no such password; those of others are none of his. */
  async revoke(ownerId: string, id: string, signal: AbortSignal): Promise<boolean> {
    const person = personHash(ownerId);
    if (!/^[0-9a-f]{16}$/.test(id) || !(await this.find({ person, id }, signal))) return false;
    await this.#records.delete(cliPasswordKey(person, id), signal);
    await this.#records.delete(cliPasswordUseKey(person, id), signal);
    return true;
  }

  /** When the password was used last, to the hour; undefined: never. */
  async lastUse(record: CliPasswordRecord, signal: AbortSignal): Promise<Date | undefined> {
    const key = cliPasswordUseKey(personHash(record.ownerId), record.id);
    return await this.#records.modifiedAt(key, signal);
  }

  async noteUse({ person, id }: CliPasswordPlace, signal: AbortSignal): Promise<void> {
    await this.#records.put(cliPasswordUseKey(person, id), Buffer.from('{}'), signal);
  }

  async #ids(person: string, signal: AbortSignal): Promise<string[]> {
    const children = await this.#records.list(cliPasswordsFolder(person), {}, signal);
    return children
      .filter((child) => !child.isFolder && child.name.endsWith(SUFFIX))
      .map((child) => child.name.slice(0, -SUFFIX.length));
  }
}
