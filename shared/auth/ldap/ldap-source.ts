import { randomUUID } from 'node:crypto';

import {
  ConstraintViolationError,
  type Entry,
  InappropriateAuthError,
  InsufficientAccessError,
  InvalidCredentialsError,
  NoSuchObjectError,
  UnwillingToPerformError,
} from 'ldapts';

import { FairTurns } from '../../concurrency/fair-turns.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { Identity } from '../identity.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../password-source.ts';
import {
  filledFilter,
  firstName,
  isBelow,
  isDirectlyBelow,
  isSameDn,
  valuesOf,
} from './directory-text.ts';
import type { LdapConfig } from './ldap-config.ts';
import { LdapConnection } from './ldap-connection.ts';

/** All of one sign-in, waiting for a turn included: docker gives up a login after 15 s, and a hung one holds a turn. */
const SIGN_IN_MS = 5_000;
/** So many sign-ins talk to the directory at once, and so many more wait, networks by turns. */
const TURNS = { running: 16, waiting: 256, waitingEach: 128 } as const;
/** Longer names are nobody's: the longest that POSIX systems take is 256. */
const MAX_NAME_CHARACTERS = 256;

/** What a directory answers to a bind of a user whose password is wrong, who is locked, or who has none. */
const REFUSALS = [
  InvalidCredentialsError,
  InappropriateAuthError,
  InsufficientAccessError,
  ConstraintViolationError,
  UnwillingToPerformError,
  NoSuchObjectError,
];

interface Person {
  readonly dn: string;
  readonly name: string;
  readonly memberOf: readonly string[];
}

interface Group {
  readonly dn: string;
  readonly name: string;
}

/**
 * People of an LDAP directory: the name is searched for, then a bind with the password proves it (RFC 4513 5.1.3). An
 * empty password is refused without asking, because a directory takes such a bind for an anonymous one and says yes.
 * Whoever is not there costs the same conversation as whoever is, with a bind to a DN that does not exist.
 */
export class LdapSource implements PasswordSource {
  readonly name = 'ldap';
  readonly isElsewhere = true;
  readonly #config: LdapConfig;
  readonly #clock: Clock;
  readonly #turns = new FairTurns(TURNS);

  constructor(config: LdapConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  async check(
    { username, password }: Credentials,
    signal: AbortSignal,
    network = '',
  ): Promise<PasswordVerdict> {
    if (password === '' || !isName(username)) return 'unknown';
    const over = new AbortController();
    const patience = AbortSignal.any([signal, over.signal]);
    this.#clock
      .sleep(SIGN_IN_MS, over.signal)
      .then(() => over.abort(new Error(`no answer within ${SIGN_IN_MS} ms`)))
      .catch(() => undefined);
    try {
      return await this.#turns.run(network, patience, () =>
        this.#ask({ username, password }, patience),
      );
    } catch (error) {
      signal.throwIfAborted();
      throw new IdentitySourceError('ldap', { cause: error });
    } finally {
      over.abort();
    }
  }

  async #ask({ username, password }: Credentials, signal: AbortSignal): Promise<PasswordVerdict> {
    const connection = new LdapConnection(this.#config, signal);
    try {
      await connection.secure();
      const { account } = this.#config;
      if (account) await connection.bind(account.dn, account.password);
      const found = await this.#find(connection, username);
      const person = found ?? this.#nobody(username);
      const groups = await this.#groupsOf(connection, person);
      const isProved = await proves(connection, person.dn, found ? password : randomUUID());
      if (!found) return 'unknown';
      return isProved ? this.#identity(person, groups) : 'wrong';
    } finally {
      connection.close();
    }
  }

  async #find(connection: LdapConnection, username: string): Promise<Person | undefined> {
    const { base, filter, nameAttribute } = this.#config.users;
    const entries = await connection.search(base, {
      scope: 'sub',
      filter: filledFilter(filter, { username }),
      attributes: [nameAttribute, 'memberOf'],
      sizeLimit: 2,
    });
    const [entry, another] = entries;
    // Whom of two the password is for would be a guess.
    if (another) throw new Error('more than one entry of the directory matches a user name');
    return entry && this.#person(entry);
  }

  #person(entry: Entry): Person | undefined {
    const [name] = valuesOf(entry, this.#config.users.nameAttribute);
    if (name === undefined || !isName(name)) return undefined;
    return { dn: entry.dn, name: name.toLowerCase(), memberOf: valuesOf(entry, 'memberOf') };
  }

  #nobody(name: string): Person {
    return { dn: `cn=${randomUUID()},${this.#config.users.base}`, name, memberOf: [] };
  }

  async #groupsOf(connection: LdapConnection, person: Person): Promise<readonly Group[]> {
    const { groups } = this.#config;
    if (!groups) return [];
    if (groups.kind === 'memberOf') {
      return person.memberOf
        .filter((dn) => isBelow(dn, groups.base))
        .flatMap((dn) => firstName(dn).map((name) => ({ dn, name })));
    }
    const entries = await connection.search(groups.base, {
      scope: 'sub',
      filter: filledFilter(groups.filter, { dn: person.dn, username: person.name }),
      attributes: [groups.nameAttribute],
    });
    return entries.flatMap((entry) => {
      const [name] = valuesOf(entry, groups.nameAttribute);
      return name === undefined ? [] : [{ dn: entry.dn, name }];
    });
  }

  #identity(person: Person, groups: readonly Group[]): Identity {
    return {
      kind: 'user',
      id: `ldap:${person.name}`,
      name: person.name,
      groups: [...new Set(groups.map(({ name }) => `ldap:${name}`))],
      isAdmin: groups.some((group) => this.#isOfAdmins(group)),
    };
  }

  /** By its place: whoever may make groups somewhere below the base would make one of that name. */
  #isOfAdmins({ dn, name }: Group): boolean {
    const { adminGroup, groups } = this.#config;
    if (adminGroup === undefined || !groups) return false;
    if (adminGroup.includes('=')) return isSameDn(dn, adminGroup);
    return name === adminGroup && isDirectlyBelow(dn, groups.base);
  }
}

const isName = (name: string): boolean =>
  name !== '' && name.length <= MAX_NAME_CHARACTERS && !/\p{Cc}/u.test(name);

async function proves(connection: LdapConnection, dn: string, password: string): Promise<boolean> {
  try {
    await connection.bind(dn, password);
    return true;
  } catch (error) {
    if (REFUSALS.some((refusal) => error instanceof refusal)) return false;
    throw error;
  }
}
