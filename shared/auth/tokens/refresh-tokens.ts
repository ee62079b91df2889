import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

import { z } from 'zod';

import type { Clock } from '../../lifecycle/clock.ts';
import { refreshTokenKey, refreshTokensFolder } from '../../storage/object-keys.ts';
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

/**
 * Tokens by which somebody has new ones without his password; docker keeps them in place of it. Of 256 random bits,
 * kept as a hash; they end with their life, with the password, and when their record is removed.
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
    const id = randomBytes(16).toString('hex');
    const secret = randomBytes(32).toString('base64url');
    const now = clock.now();
    const session: Session = {
      schemaVersion: 1,
      secretHash: hash('sha256', secret),
      identityId: identity.id,
      name: identity.name,
      stamp: standing.stamp,
      createdAt: now.toISOString(),
      expiresAt: new Date(now.getTime() + lifeSeconds * 1000).toISOString(),
    };
    await records.put(refreshTokenKey(id), Buffer.from(JSON.stringify(session)), signal);
    return `twp_${id}_${secret}`;
  }

  /** Whose token it is, as he is today; undefined for one that means nothing any more. Throws StorageError. */
  async identify(token: string, signal: AbortSignal): Promise<Identity | undefined> {
    const [, id, secret] = /^twp_([0-9a-f]{32})_([\w-]{43})$/.exec(token) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const session = await this.#read(id, signal);
    if (!session || !isEqual(session.secretHash, hash('sha256', secret))) return undefined;
    if (Date.parse(session.expiresAt) <= this.#options.clock.now().getTime()) return undefined;
    const standing = await this.#options.findStanding(session.identityId, signal);
    return standing?.stamp === session.stamp ? standing.identity : undefined;
  }

  /** Removes those that have lapsed. Throws StorageError. */
  async removeLapsed(signal: AbortSignal): Promise<void> {
    const { records, clock } = this.#options;
    for (const { name } of await records.list(refreshTokensFolder, {}, signal)) {
      const id = name.replace(/\.json$/, '');
      const session = await this.#read(id, signal);
      const lapsesAt = session ? Date.parse(session.expiresAt) : Infinity;
      if (lapsesAt <= clock.now().getTime()) await records.delete(refreshTokenKey(id), signal);
    }
  }

  /** Undefined also for a record that cannot be understood: nobody is signed in by it. */
  async #read(id: string, signal: AbortSignal): Promise<Session | undefined> {
    const bytes = await this.#options.records.get(refreshTokenKey(id), signal);
    if (!bytes) return undefined;
    try {
      return RECORD.parse(JSON.parse(bytes.toString('utf8')));
    } catch {
      return undefined;
    }
  }
}

const isEqual = (one: string, other: string): boolean =>
  timingSafeEqual(Buffer.from(one, 'hex'), Buffer.from(other, 'hex'));
