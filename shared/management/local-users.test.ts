import { describe, expect, jest, test } from '@jest/globals';
import bcrypt from 'bcrypt';

import { PasswordComparisons } from '../auth/password-hash.ts';
import { IdentitySourceError } from '../auth/password-source.ts';
import { ALICE } from '../auth/testing/alice.ts';
import { SignIn } from '../auth/sign-in.ts';
import { quickHash } from '../auth/testing/quick-hash.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { makeFirstAdmin } from './first-admin.ts';
import { LocalUsers } from './local-users.ts';
import { type TestManagement, testManagement } from './testing/test-management.ts';
import { Users } from './users.ts';

const PASSWORD = 'correct horse';

interface Bench extends TestManagement {
  readonly users: Users;
  readonly local: LocalUsers;
  readonly check: (username: string, password: string) => Promise<unknown>;
}

function newBench(): Bench {
  const management = testManagement();
  const users = new Users({ ...management, hash: quickHash });
  const local = new LocalUsers(users);
  return {
    ...management,
    users,
    local,
    check: (username, password) => local.check({ username, password }, unending),
  };
}

const add = (users: Users, name: string, more = {}): Promise<void> =>
  users.add({ name, password: PASSWORD, isAdmin: false, mustChange: false, ...more }, unending);

describe('people whose passwords are kept here', () => {
  test('are who they are by name and password, and nobody by another password', async () => {
    const { users, check } = newBench();
    await add(users, 'alice');
    await add(users, 'root', { isAdmin: true });
    expect(await check('alice', PASSWORD)).toEqual({ ...ALICE, stamp: expect.any(String) });
    expect(await check('root', PASSWORD)).toMatchObject({ id: 'local:root', isAdmin: true });
    expect(await check('alice', 'wrong')).toBe('wrong');
    expect(await check('alice', '')).toBe('wrong');
    expect(await check('bob', PASSWORD)).toBe('unknown');
    expect(await check('../robots/x', PASSWORD)).toBe('unknown');
    expect(await check('Alice', PASSWORD)).toBe('unknown');
  });

  test('may not have a password that bcrypt would cut, nor a short one, nor a name of two forms', async () => {
    const { users } = newBench();
    const denied = { code: 'DENIED', status: 400 };
    await expect(add(users, 'alice', { password: 'x'.repeat(73) })).rejects.toMatchObject(denied);
    await expect(add(users, 'alice', { password: 'short' })).rejects.toMatchObject(denied);
    for (const name of ['Alice', 'robot$team+ci', 'a/b', '..', '', '-a', 'a'.repeat(65)]) {
      await expect(add(users, name)).rejects.toMatchObject(denied);
    }
    await add(users, 'alice', { password: 'x'.repeat(72) });
    await expect(add(users, 'alice')).rejects.toMatchObject(denied);
  });

  test('have no way in after they are disabled', async () => {
    const { users, local, check } = newBench();
    await add(users, 'alice');
    await check('alice', PASSWORD);
    await users.setDisabled('alice', true, unending);
    expect(await check('alice', PASSWORD)).toBe('wrong');
    await users.setDisabled('alice', false, unending);
    expect(await local.check({ username: 'alice', password: PASSWORD }, unending)).toMatchObject({
      id: 'local:alice',
    });
  });

  test('learn nothing of their password from the time of an answer after they are disabled', async () => {
    class Counted extends PasswordComparisons {
      count = 0;
      override matches(...asked: Parameters<PasswordComparisons['matches']>): Promise<boolean> {
        this.count += 1;
        return super.matches(...asked);
      }
    }
    const { users } = newBench();
    const comparisons = new Counted();
    const local = new LocalUsers(users, comparisons);
    await add(users, 'alice');
    const costOf = async (password: string): Promise<number> => {
      const before = comparisons.count;
      await local.check({ username: 'alice', password }, unending);
      return comparisons.count - before;
    };
    expect([await costOf(PASSWORD), await costOf(PASSWORD)]).toEqual([1, 0]);
    await users.setDisabled('alice', true, unending);
    const costs = [await costOf(PASSWORD), await costOf(PASSWORD), await costOf('wrong horse')];
    expect(costs).toEqual([1, 1, 1]);
  });

  test('use a changed password at once, and the one before no more', async () => {
    const { users, check } = newBench();
    await add(users, 'alice');
    await check('alice', PASSWORD);
    await users.setPassword('alice', 'another one', { mustChange: false }, unending);
    expect(await check('alice', 'another one')).toMatchObject({ id: 'local:alice' });
    expect(await check('alice', PASSWORD)).toBe('wrong');
  });

  test('open nothing with a password that must be changed first', async () => {
    const { users, check } = newBench();
    await add(users, 'alice', { mustChange: true });
    expect(await check('alice', PASSWORD)).toBe('wrong');
    await users.setPassword('alice', 'chosen by alice', { mustChange: false }, unending);
    expect(await check('alice', 'chosen by alice')).toMatchObject({ id: 'local:alice' });
  });

  test('stand as they are today, by a stamp that changes with the password', async () => {
    const { users, local } = newBench();
    await add(users, 'alice');
    const before = await local.standing('local:alice', unending);
    expect(before?.identity).toMatchObject({ id: 'local:alice', isAdmin: false });
    await users.setAdmin('alice', true, unending);
    const promoted = await local.standing('local:alice', unending);
    expect(promoted).toMatchObject({ identity: { isAdmin: true }, stamp: before?.stamp });
    await users.setPassword('alice', 'another one', { mustChange: false }, unending);
    expect((await local.standing('local:alice', unending))?.stamp).not.toBe(before?.stamp);
    await users.setDisabled('alice', true, unending);
    for (const id of ['local:alice', 'local:bob', 'ldap:alice', 'local:']) {
      expect(await local.standing(id, unending)).toBeUndefined();
    }
  });

  test('are not taken for unknown while the store does not answer', async () => {
    const { users, records, check } = newBench();
    await add(users, 'alice');
    records.isBroken = true;
    await expect(check('alice', PASSWORD)).rejects.toBeInstanceOf(IdentitySourceError);
    await expect(check('bob', PASSWORD)).rejects.toBeInstanceOf(IdentitySourceError);
  });

  test('have their password in no record', async () => {
    const { users, records } = newBench();
    await add(users, 'alice');
    for (const bytes of records.records.values()) expect(bytes.toString()).not.toContain(PASSWORD);
  });
});

describe('the first administrator', () => {
  test('is made once, by one of several starts, and only where there is nobody', async () => {
    const { users } = newBench();
    const made = await Promise.all([1, 2, 3].map(() => makeFirstAdmin(users, unending)));
    const admins = made.filter((admin) => admin !== undefined);
    expect(admins).toHaveLength(1);
    expect(admins[0]?.password.length).toBeGreaterThanOrEqual(24);
    expect(await makeFirstAdmin(users, unending)).toBeUndefined();
    expect(await users.find('admin', unending)).toMatchObject({ isAdmin: true, mustChange: true });
  });

  test('sign in from one network while another guesses, and guesses that nobody waits for are not compared', async () => {
    const { users } = newBench();
    await add(users, 'alice');
    const signIn = new SignIn([new LocalUsers(users)]);
    const compare = jest.spyOn(bcrypt, 'compare');
    const leaving = new AbortController();
    const from = (address: string) => ({ address, isSafe: true, baseUrl: '' });
    const guesses = Array.from({ length: 70 }, (_, index) =>
      signIn.check(
        { username: `x${index}`, password: 'guess' },
        from('203.0.113.6'),
        leaving.signal,
      ),
    );
    const alice = { username: 'alice', password: PASSWORD };
    const all = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address) =>
      signIn.check(alice, from(address), unending),
    );
    for (const one of await Promise.all(all)) expect(one).toMatchObject({ id: 'local:alice' });
    leaving.abort(new Error('they leave'));
    await Promise.allSettled(guesses);
    await signIn.check({ username: 'alice', password: 'wrong' }, from('192.0.2.1'), unending);
    expect(compare.mock.calls.filter(([password]) => password === PASSWORD)).toHaveLength(1);
    expect(compare.mock.calls.length).toBeLessThan(20);
    compare.mockRestore();
  });
});
