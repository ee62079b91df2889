import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

import { z } from 'zod';

import type { Clock } from '../../lifecycle/clock.ts';
import {
  refreshTokenKey,
  refreshTokensFolder,
  refreshTokensOf,
} from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { Identity } from '../identity.ts';
import type { ProvedIdentity, StandingIdentity } from '../password-source.ts';

/** Somebody by his id, without his password; undefined when he is gone, disabled, or of a source that cannot tell. */
type FindStanding = (id: string, signal: AbortSignal) => Promise<StandingIdentity | undefined>;

const RECORD = z.object({
  schemaVersion: z.literal(1),
  secretHash: z.string().regex(/^[0-9a-f]{64}$/),
  identityId: z.string(),
  name: z.string(),
  stamp: z.string(),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
});
type Session = z.output<typeof RECORD>;

export interface RefreshTokensOptions {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly lifeSeconds: number;
  readonly findStanding: FindStanding;
}

/** Nobody keeps more of them: a program that logs in for each of its jobs makes one each time. */
const MAX_PER_IDENTITY = 1_000;

/** Where the record of a token stands. The id begins with its end, in seconds: records are in the order of their ends. */
interface Place {
  readonly person: string;
  readonly id: string;
}

/**
 * Tokens by which somebody has new ones without his password; docker keeps them in place of it. Of 256 random bits,
 * kept as a hash; they end with their life, with the password, when their record is removed, and the oldest ones when
 * somebody has very many.
 */
export class RefreshTokens {
  readonly #options: RefreshTokensOptions;

  constructor(options: RefreshTokensOptions) {
    this.#options = options;
  }

  /**
   * Undefined for somebody whose source cannot tell later whether he is still there, and for one whose password was
   * changed since it was compared. Throws StorageError.
   */
  async issue(identity: ProvedIdentity, signal: AbortSignal): Promise<string | undefined> {
    const { records, clock, lifeSeconds, findStanding } = this.#options;
    const standing = await findStanding(identity.id, signal);
    if (!standing || standing.stamp !== identity.stamp) return undefined;
    const secret = randomBytes(32).toString('base64url');
    const now = clock.now();
    const endsMs = now.getTime() + lifeSeconds * 1000;
    const person = hash('sha256', identity.id).slice(0, 32);
    const id = `${hexSeconds(endsMs)}${randomBytes(8).toString('hex')}`;
    await this.#makeRoom(person, signal);
    const session: Session = {
      schemaVersion: 1,
      secretHash: hash('sha256', secret),
      identityId: identity.id,
      name: identity.name,
      stamp: standing.stamp,
      createdAt: now.toISOString(),
      expiresAt: new Date(endsMs).toISOString(),
    };
    const key = refreshTokenKey(person, id);
    await records.put(key, Buffer.from(JSON.stringify(session)), signal);
    return `twp_${person}${id}_${secret}`;
  }

  /** Whose token it is, as he is today; undefined for one that means nothing any more. Throws StorageError. */
  async identify(token: string, signal: AbortSignal): Promise<Identity | undefined> {
    const [, person, id, secret] =
      /^twp_([0-9a-f]{32})([0-9a-f]{24})_([\w-]{43})$/.exec(token) ?? [];
    if (person === undefined || id === undefined || secret === undefined) return undefined;
    const session = await this.#read({ person, id }, signal);
    if (!session || !isEqual(session.secretHash, hash('sha256', secret))) return undefined;
    if (Date.parse(session.expiresAt) <= this.#options.clock.now().getTime()) return undefined;
    const standing = await this.#options.findStanding(session.identityId, signal);
    return standing?.stamp === session.stamp ? standing.identity : undefined;
  }

  /** Removes those that have lapsed. Throws StorageError. */
  async removeLapsed(signal: AbortSignal): Promise<void> {
    const { records, clock } = this.#options;
    const now = hexSeconds(clock.now().getTime());
    for (const { name: person } of await records.list(refreshTokensFolder, {}, signal)) {
      const ids = await this.#idsOf(person, signal);
      await this.#remove(
        person,
        ids.filter((id) => id < now),
        signal,
      );
    }
  }

  async #makeRoom(person: string, signal: AbortSignal): Promise<void> {
    const ids = await this.#idsOf(person, signal);
    await this.#remove(person, ids.slice(0, -(MAX_PER_IDENTITY - 1)), signal);
  }

  /** Those that end first come first. */
  async #idsOf(person: string, signal: AbortSignal): Promise<readonly string[]> {
    const children = await this.#options.records.list(refreshTokensOf(person), {}, signal);
    return children.map(({ name }) => name.replace(/\.json$/, ''));
  }

  async #remove(person: string, ids: readonly string[], signal: AbortSignal): Promise<void> {
    const { records } = this.#options;
    for (const id of ids) await records.delete(refreshTokenKey(person, id), signal);
  }

  /** Undefined also for a record that cannot be understood: nobody is signed in by it. */
  async #read({ person, id }: Place, signal: AbortSignal): Promise<Session | undefined> {
    const bytes = await this.#options.records.get(refreshTokenKey(person, id), signal);
    if (!bytes) return undefined;
    try {
      return RECORD.parse(JSON.parse(bytes.toString('utf8')));
    } catch {
      return undefined;
    }
  }
}

/** Eight digits until the year 2106: they sort as the times do. */
const hexSeconds = (ms: number): string =>
  Math.floor(ms / 1000)
    .toString(16)
    .padStart(8, '0');

const isEqual = (one: string, other: string): boolean =>
  timingSafeEqual(Buffer.from(one, 'hex'), Buffer.from(other, 'hex'));
