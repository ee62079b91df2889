import { createHmac, hash, randomBytes } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import type { Identity } from '../auth/identity.ts';
import { type ComparisonTurn, PasswordComparisons } from '../auth/password-hash.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../auth/password-source.ts';
import { JoinedWork } from '../concurrency/joined-work.ts';
import type { UserRecord, Users } from './users.ts';

/** How long a password that was right is known to fit its hash: a comparison takes a quarter of a second. */
const KNOWN_MS = 5 * 60_000;
const KNOWN_MAX = 10_000;
const ID_PREFIX = 'local:';

/** People whose passwords this registry keeps. A change to an account is seen by the next check. */
export class LocalUsers implements PasswordSource {
  readonly name = 'local';
  readonly #users: Users;
  readonly #comparisons: PasswordComparisons;
  /** Of hashes and passwords that belong together, under a key that no other process has. */
  readonly #known = new LRUCache<string, true>({ max: KNOWN_MAX, ttl: KNOWN_MS });
  readonly #key = randomBytes(32);
  readonly #running = new JoinedWork<boolean>();

  /** `comparisons`: shared by all sources that compare passwords. */
  constructor(users: Users, comparisons = new PasswordComparisons()) {
    this.#users = users;
    this.#comparisons = comparisons;
  }

  async check(
    { username, password }: Credentials,
    signal: AbortSignal,
    network = '',
  ): Promise<PasswordVerdict> {
    const user = await this.#find(username, signal);
    const turn = { network, signal };
    if (!user) {
      await this.#comparisons.matches({ password, hash: undefined }, turn);
      return 'unknown';
    }
    return (await this.#fits(password, user, turn)) ? verdictOn(user) : 'wrong';
  }

  /**
   * Somebody by the id of his identity, as he is today; undefined when he is not of this source or has no way in.
   * `stamp` changes with the password and says nothing about it.
   */
  async standing(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly identity: Identity; readonly stamp: string } | undefined> {
    if (!id.startsWith(ID_PREFIX)) return undefined;
    const user = await this.#find(id.slice(ID_PREFIX.length), signal);
    const verdict = user && verdictOn(user);
    if (!user || typeof verdict === 'string') return undefined;
    return { identity: identityOf(user), stamp: stampOf(user) };
  }

  async #find(name: string, signal: AbortSignal): Promise<UserRecord | undefined> {
    try {
      return await this.#users.find(name, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new IdentitySourceError(this.name, { cause });
    }
  }

  /** Of somebody who has no way in nothing is remembered: a quick answer would tell that his password was right. */
  async #fits(password: string, user: UserRecord, turn: ComparisonTurn): Promise<boolean> {
    const { passwordHash } = user;
    const comparison = { password, hash: passwordHash };
    if (verdictOn(user) === 'wrong') return await this.#comparisons.matches(comparison, turn);
    const mark = createHmac('sha256', this.#key)
      .update(`${passwordHash}\0${password}`)
      .digest('base64');
    if (this.#known.has(mark)) return true;
    // From many machines at once the same password is compared once.
    return await this.#running.run(mark, turn.signal, async (signal) => {
      const isMatch = await this.#comparisons.matches(comparison, { ...turn, signal });
      if (isMatch) this.#known.set(mark, true);
      return isMatch;
    });
  }
}

/** A password that must be changed first opens nothing but its own change. */
const verdictOn = (user: UserRecord): PasswordVerdict =>
  user.disabled === true || user.mustChange === true
    ? 'wrong'
    : { ...identityOf(user), stamp: stampOf(user) };

const stampOf = ({ passwordHash }: UserRecord): string => hash('sha256', `local ${passwordHash}`);

const identityOf = ({ name, isAdmin }: UserRecord): Identity => ({
  kind: 'user',
  id: `${ID_PREFIX}${name}`,
  name,
  groups: [],
  isAdmin,
});
