import { LRUCache } from 'lru-cache';

import type { Identity } from '../auth/identity.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../auth/password-source.ts';
import type { People } from './people.ts';

/** How often somebody who has not changed is put down again. */
const NOTED_MS = 3600_000;

/**
 * People for whom another program vouches, as the registry knows them: what it says of them is kept for the passwords that
 * they make here, and who was locked out here is not let in.
 */
export class VouchedSource implements PasswordSource {
  readonly name: string;
  readonly isElsewhere = true;
  readonly #inner: PasswordSource;
  readonly #people: People;
  readonly #noted = new LRUCache<string, string>({ max: 10_000, ttl: NOTED_MS });

  constructor(inner: PasswordSource, people: People) {
    this.name = inner.name;
    this.#inner = inner;
    this.#people = people;
  }

  async check(
    credentials: Credentials,
    signal: AbortSignal,
    network = '',
  ): Promise<PasswordVerdict> {
    const verdict = await this.#inner.check(credentials, signal, network);
    if (typeof verdict === 'string') return verdict;
    try {
      return (await this.#isLetIn(verdict, signal)) ? verdict : 'wrong';
    } catch (cause) {
      signal.throwIfAborted();
      throw new IdentitySourceError(this.name, { cause });
    }
  }

  async #isLetIn(identity: Identity, signal: AbortSignal): Promise<boolean> {
    const { id } = identity;
    const told = JSON.stringify(identity);
    const isNoted = this.#noted.get(id) === told;
    if (isNoted && (await this.#people.find(id, signal))) return true;
    if (!(await this.#people.noteSignIn(identity, signal))) return false;
    this.#noted.set(id, told);
    return true;
  }
}
