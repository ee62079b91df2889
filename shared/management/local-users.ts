import { createHmac, randomBytes } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import type { Identity } from '../auth/identity.ts';
import { matchesPassword } from '../auth/password-hash.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../auth/password-source.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { BriefCache } from './brief-cache.ts';
import { isUserName, type UserRecord, type Users } from './users.ts';

/** How long a password that was right is known to fit its hash: a comparison takes a quarter of a second. */
const KNOWN_MS = 5 * 60_000;
const KNOWN_MAX = 10_000;

/** People whose passwords this registry keeps. A change to an account is seen within 30 seconds. */
export class LocalUsers implements PasswordSource {
  readonly name = 'local';
  readonly #users: BriefCache<UserRecord>;
  /** Of hashes and passwords that belong together, under a key that no other process has. */
  readonly #known = new LRUCache<string, true>({ max: KNOWN_MAX, ttl: KNOWN_MS });
  readonly #key = randomBytes(32);

  constructor(users: Users, clock: Clock) {
    this.#users = new BriefCache(clock, (name, signal) => users.find(name, signal));
  }

  async check({ username, password }: Credentials, signal: AbortSignal): Promise<PasswordVerdict> {
    const user = await this.#find(username, signal, 'believed');
    if (!user) {
      await matchesPassword(password, undefined);
      return 'unknown';
    }
    if (await this.#fits(password, user)) return verdictOn(user);
    // The password may have been changed a moment ago.
    const now = await this.#find(username, signal, 'now');
    const isChanged = now !== undefined && now.passwordHash !== user.passwordHash;
    return isChanged && (await this.#fits(password, now)) ? verdictOn(now) : 'wrong';
  }

  async #find(
    name: string,
    signal: AbortSignal,
    as: 'believed' | 'now',
  ): Promise<UserRecord | undefined> {
    if (!isUserName(name)) return undefined;
    try {
      return await (as === 'now'
        ? this.#users.reload(name, signal)
        : this.#users.get(name, signal));
    } catch (cause) {
      signal.throwIfAborted();
      throw new IdentitySourceError(this.name, { cause });
    }
  }

  async #fits(password: string, { passwordHash }: UserRecord): Promise<boolean> {
    const mark = createHmac('sha256', this.#key)
      .update(`${passwordHash}\0${password}`)
      .digest('base64');
    if (this.#known.has(mark)) return true;
    const isMatch = await matchesPassword(password, passwordHash);
    if (isMatch) this.#known.set(mark, true);
    return isMatch;
  }
}

/** A password that must be changed first opens nothing but its own change. */
const verdictOn = (user: UserRecord): PasswordVerdict =>
  user.disabled === true || user.mustChange === true ? 'wrong' : identityOf(user);

const identityOf = ({ name, isAdmin }: UserRecord): Identity => ({
  kind: 'user',
  id: `local:${name}`,
  name,
  groups: [],
  isAdmin,
});
