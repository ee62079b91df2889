import { createHash } from 'node:crypto';

import { z } from 'zod';

import type { Identity } from '../auth/identity.ts';
import { formatJsonRecord, requireJsonRecord } from '../index/store/json-record.ts';
import { mapBounded } from '../index/store/map-bounded.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { lockedPersonKey, peopleFolder, personKey } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';

const schema = z.object({
  schemaVersion: z.literal(1),
  id: z.string(),
  name: z.string(),
  groups: z.array(z.string()),
  isAdmin: z.boolean(),
  signedInAt: z.string(),
});

/** Somebody of another source, as an administrator sees him. */
export interface KnownPerson {
  readonly identity: Identity;
  readonly signedInAt: string;
  readonly isLocked: boolean;
}

/** Names the records of a person: ids hold addresses of issuers, and characters that no key may have. */
export const personHash = (id: string): string =>
  createHash('sha256').update(id).digest('hex').slice(0, 32);

/**
 * People whom another source of identities vouches for, as they were when they last signed in there. What the source
 * says replaces what it said before, so that a group that somebody lost is gone; only an administrator of the registry
 * lets in again whom one locked out.
 */
export class People {
  readonly #records: RecordStore;
  readonly #clock: Clock;

  constructor(records: RecordStore, clock: Clock) {
    this.#records = records;
    this.#clock = clock;
  }

  /** Keeps what the source says. False, and nothing is kept, for somebody who is locked out. */
  async noteSignIn(identity: Identity, signal: AbortSignal): Promise<boolean> {
    const person = personHash(identity.id);
    if (await this.#isLocked(person, signal)) return false;
    const { id, name, groups, isAdmin } = identity;
    const signedInAt = this.#clock.now().toISOString();
    const record = { schemaVersion: 1, id, name, groups, isAdmin, signedInAt };
    await this.#records.put(personKey(person), formatJsonRecord(record), signal);
    return true;
  }

  /** The person as the store has it now; undefined for one who never came, or is locked out. */
  async find(id: string, signal: AbortSignal): Promise<Identity | undefined> {
    const person = personHash(id);
    const key = personKey(person);
    const [bytes, isLocked] = await Promise.all([
      this.#records.get(key, signal),
      this.#isLocked(person, signal),
    ]);
    if (!bytes || isLocked) return undefined;
    const record = requireJsonRecord(bytes, schema, key);
    if (record.id !== id) return undefined;
    const { name, groups, isAdmin } = record;
    return { kind: 'user', id, name, groups, isAdmin };
  }

  /** Everybody who has signed in, by id. */
  async list(signal: AbortSignal): Promise<KnownPerson[]> {
    const names = (await this.#records.list(peopleFolder, {}, signal)).map(({ name }) => name);
    const locked = new Set(names);
    const persons = names
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length));
    const all = await mapBounded(persons, async (person) => {
      const key = personKey(person);
      const bytes = await this.#records.get(key, signal);
      if (!bytes) return undefined;
      const { id, name, groups, isAdmin, signedInAt } = requireJsonRecord(bytes, schema, key);
      const identity = { kind: 'user', id, name, groups, isAdmin } as const;
      return { identity, signedInAt, isLocked: locked.has(`${person}.locked`) };
    });
    return all
      .filter((person) => person !== undefined)
      .sort((one, other) => (one.identity.id < other.identity.id ? -1 : 1));
  }

  /** Locks somebody out, or lets him in again; also before he ever came. */
  async setLocked(id: string, isLocked: boolean, signal: AbortSignal): Promise<void> {
    const key = lockedPersonKey(personHash(id));
    if (isLocked) await this.#records.put(key, formatJsonRecord({ schemaVersion: 1, id }), signal);
    else await this.#records.delete(key, signal);
  }

  async #isLocked(person: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#records.get(lockedPersonKey(person), signal)) !== undefined;
  }
}
