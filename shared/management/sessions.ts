import { createHash, randomBytes } from 'node:crypto';

import { z } from 'zod';

import { formatJsonRecord, requireJsonRecord } from '../index/store/json-record.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { sessionKey, sessionsFolder } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';

/** A working day; then people sign in again, which their provider may do without asking them. */
export const SESSION_SECONDS = 12 * 3600;
/** So many old sessions are looked at whenever a new one begins: none stays for good, and no sign-in waits for long. */
const SWEPT = 20;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

const schema = z.object({
  schemaVersion: z.literal(1),
  identityId: z.string(),
  /** As the person's standing had it when the session began; another one ends the session. */
  stamp: z.string(),
  expiresAt: z.string(),
});

/** Whose session it is. */
export type Session = Pick<z.infer<typeof schema>, 'identityId' | 'stamp'>;

/**
 * Who is signed in at the web. The browser has a random token, the store its hash: whoever reads the store can be
 * nobody. Every replica knows every session, and one that was ended is ended at once.
 */
export class Sessions {
  readonly #records: RecordStore;
  readonly #clock: Clock;

  constructor(records: RecordStore, clock: Clock) {
    this.#records = records;
    this.#clock = clock;
  }

  /** Begins a session, always with a new token, and resolves with that. */
  async begin({ identityId, stamp }: Session, signal: AbortSignal): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    const expiresAt = new Date(this.#clock.now().getTime() + SESSION_SECONDS * 1_000).toISOString();
    const record = { schemaVersion: 1, identityId, stamp, expiresAt };
    await this.#records.put(sessionKey(hashOf(token)), formatJsonRecord(record), signal);
    await this.#sweep(signal);
    return token;
  }

  /** Whose session it is; undefined when it is none, or has ended. */
  async find(token: string, signal: AbortSignal): Promise<Session | undefined> {
    return TOKEN.test(token) ? await this.#read(sessionKey(hashOf(token)), signal) : undefined;
  }

  /** Idempotent. */
  async end(token: string, signal: AbortSignal): Promise<void> {
    if (TOKEN.test(token)) await this.#records.delete(sessionKey(hashOf(token)), signal);
  }

  async #read(key: string, signal: AbortSignal): Promise<Session | undefined> {
    const bytes = await this.#records.get(key, signal);
    if (!bytes) return undefined;
    const { identityId, stamp, expiresAt } = requireJsonRecord(bytes, schema, key);
    if (this.#clock.now().getTime() < Date.parse(expiresAt)) return { identityId, stamp };
    await this.#records.delete(key, signal);
    return undefined;
  }

  /** Some of the others, from a random place on: reading one that has ended removes it. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const after = randomBytes(4).toString('hex');
    const some = await this.#records.list(sessionsFolder, { limit: SWEPT, after }, signal);
    for (const { name } of some) await this.#read(`${sessionsFolder}/${name}`, signal);
  }
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');
