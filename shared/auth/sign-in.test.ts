import { describe, expect, test } from '@jest/globals';

import type { ClientOrigin } from './authenticator.ts';
import type { Identity } from './identity.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from './password-source.ts';
import { SignIn } from './sign-in.ts';

const { signal } = new AbortController();
const origin: ClientOrigin = { address: '192.0.2.1', isSafe: true, baseUrl: 'https://r.example' };
const identityOf = (source: string, name: string): Identity => ({
  kind: 'user',
  id: `${source}:${name}`,
  name,
  groups: [],
  isAdmin: false,
});

/** A source with users whose passwords are their names, and what it was asked. */
class Source implements PasswordSource {
  readonly name: string;
  readonly asked: string[] = [];
  readonly #users: readonly string[];

  constructor(name: string, ...users: string[]) {
    this.name = name;
    this.#users = users;
  }

  check({ username, password }: Credentials): Promise<PasswordVerdict> {
    this.asked.push(username);
    if (!this.#users.includes(username)) return Promise.resolve('unknown');
    return Promise.resolve(username === password ? identityOf(this.name, username) : 'wrong');
  }
}

class Elsewhere extends Source {
  readonly isElsewhere = true;
}

class Broken extends Source {
  override check({ username }: Credentials): Promise<PasswordVerdict> {
    this.asked.push(username);
    return Promise.reject(new IdentitySourceError(this.name, { cause: new Error('down') }));
  }
}

/** Throws what no source should. */
class Thrower extends Source {
  override check(): Promise<PasswordVerdict> {
    return Promise.reject(new TypeError('a mistake'));
  }
}

class RobotsAlone extends Source {
  takesAlone({ username }: Credentials): boolean {
    return username.startsWith('robot$');
  }
}

const check = (
  sources: readonly PasswordSource[],
  username: string,
  password = username,
): Promise<PasswordVerdict> => new SignIn(sources).check({ username, password }, origin, signal);

describe('sources of identities', () => {
  test('are asked in order, until one knows the user and the password is right', async () => {
    const [first, second] = [new Source('first', 'alice'), new Source('second', 'alice', 'bob')];
    expect(await check([first, second], 'alice')).toMatchObject({ id: 'first:alice' });
    expect(second.asked).toEqual([]);
    expect(await check([first, second], 'bob')).toMatchObject({ id: 'second:bob' });
    expect(await check([first, second], 'bob', 'x')).toBe('wrong');
    expect(await check([first, second], 'carol')).toBe('unknown');
  });

  test('that cannot be asked hold up nobody whom another one knows, before or after (F39)', async () => {
    for (const broken of [new Broken('ldap'), new Thrower('ldap')]) {
      const known = new Source('local', 'alice');
      for (const sources of [
        [broken, known],
        [known, broken],
      ]) {
        expect(await check(sources, 'alice')).toMatchObject({ id: 'local:alice' });
        // Guesses are counted, or whoever keeps a directory busy could guess without end.
        expect(await check(sources, 'alice', 'x')).toBe('wrong');
        await expect(check(sources, 'bob')).rejects.toMatchObject({
          code: 'UNAVAILABLE',
          status: 503,
        });
      }
    }
  });

  test('elsewhere are not sent secrets that this registry made', async () => {
    const directory = new Elsewhere('ldap', 'alice');
    const local = new Source('local', 'bob');
    expect(await check([local, directory], 'alice', 'twp_abc')).toBe('unknown');
    expect(directory.asked).toEqual([]);
    expect(local.asked).toEqual(['alice']);
  });

  test('elsewhere are not sent what may be the login of another registry', async () => {
    const directory = new Elsewhere('ldap', 'alice');
    const signIn = new SignIn([new Source('local', 'bob'), directory]);
    const login = (name: string) => ({ username: name, password: name });
    expect(await signIn.check(login('alice'), origin, signal, { gate: 'tolerant' })).toBe(
      'unknown',
    );
    expect(directory.asked).toEqual([]);
    expect(await signIn.check(login('bob'), origin, signal, { gate: 'tolerant' })).toMatchObject({
      id: 'local:bob',
    });
  });

  test('that alone take a kind of credentials are the only ones who see them', async () => {
    const robots = new RobotsAlone('robot', 'robot$team+ci');
    const others = [new Source('local'), new Elsewhere('ldap')];
    const sources = [...others, robots];
    expect(await check(sources, 'robot$team+ci')).toMatchObject({ id: 'robot:robot$team+ci' });
    expect(await check(sources, 'robot$team+gone')).toBe('unknown');
    expect(others.flatMap(({ asked }) => asked)).toEqual([]);
  });

  test('are asked once for what many machines behind one address ask together', async () => {
    const known = new Source('local', 'alice');
    const signIn = new SignIn([known]);
    const alice = { username: 'alice', password: 'alice' };
    const all = Array.from({ length: 100 }, () => signIn.check(alice, origin, signal));
    for (const one of await Promise.all(all)) expect(one).toMatchObject({ id: 'local:alice' });
    expect(known.asked).toEqual(['alice']);
  });

  test('are asked for what lasts although somebody is believed', async () => {
    const known = new Source('local', 'alice');
    const signIn = new SignIn([known]);
    const alice = { username: 'alice', password: 'alice' };
    await signIn.check(alice, origin, signal);
    await signIn.check(alice, origin, signal);
    expect(known.asked).toHaveLength(1);
    await signIn.check(alice, origin, signal, { isFresh: true });
    expect(known.asked).toHaveLength(2);
  });

  test('that wait do not keep others from being asked for other people', async () => {
    const hung: PasswordSource = { name: 'ldap', check: () => new Promise(() => undefined) };
    const signIn = new SignIn([new Source('local', 'alice'), hung]);
    const leave = new AbortController();
    const waiting = Array.from({ length: 20 }, (_, number) =>
      signIn.check({ username: `u${number}`, password: 'x' }, origin, leave.signal),
    );
    const alice = { username: 'alice', password: 'alice' };
    expect(await signIn.check(alice, origin, signal)).toMatchObject({ id: 'local:alice' });
    leave.abort(new Error('they leave'));
    await Promise.allSettled(waiting);
  });
});
