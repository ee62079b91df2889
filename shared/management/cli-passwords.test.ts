import { describe, expect, test } from '@jest/globals';

import type { Identity } from '../auth/identity.ts';
import { IdentitySourceError } from '../auth/password-source.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { BELIEVED_MS } from '../content/brief-cache.ts';
import { CliPasswordSource } from './cli-password-source.ts';
import { CliPasswords } from './cli-passwords.ts';
import { People } from './people.ts';
import { testManagement } from './testing/test-management.ts';

const ALICE: Identity = {
  kind: 'user',
  id: 'oidc:https://login.example#f3a1',
  name: 'alice',
  groups: ['oidc:developers'],
  isAdmin: false,
};
const DAY_MS = 24 * 3600_000;

async function newBench() {
  const { records, clock } = testManagement();
  const people = new People(records, clock);
  const passwords = new CliPasswords(records, clock);
  const source = new CliPasswordSource({
    passwords,
    findPerson: (id, signal) => people.find(id, signal),
    clock,
    shutdown: unending,
  });
  expect(await people.noteSignIn(ALICE, unending)).toBe(true);
  return {
    ...{ records, clock, people, passwords },
    make: (label = 'laptop', owner = ALICE) =>
      passwords.make(
        owner,
        { label, expiresAt: new Date(clock.now().getTime() + DAY_MS) },
        unending,
      ),
    check: (username: string, password: string) => source.check({ username, password }, unending),
  };
}

describe('passwords for the command line', () => {
  test('sign their owner in by a secret that is kept nowhere', async () => {
    const { make, check, records } = await newBench();
    const { secret } = await make();
    expect(await check('alice', secret)).toEqual(ALICE);
    expect(await check('Alice', secret)).toEqual(ALICE);
    for (const bytes of records.records.values()) expect(bytes.toString()).not.toContain(secret);
  });

  test('open nothing under another name, or with another secret', async () => {
    const { make, check } = await newBench();
    const { secret } = await make();
    expect(await check('bob', secret)).toBe('wrong');
    expect(await check('alice', `${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`)).toBe(
      'wrong',
    );
    const foreign = secret.replace(/^twp_[0-9a-f]{32}/, `twp_${'0'.repeat(32)}`);
    expect(await check('alice', foreign)).toBe('wrong');
  });

  test('are told from secrets of other kinds', async () => {
    const { check } = await newBench();
    for (const other of ['', 'password', `twp_${'a'.repeat(43)}`, `twp_../${'a'.repeat(88)}`]) {
      expect(await check('alice', other)).toBe('unknown');
    }
  });

  test('give the groups of the last sign-in, and none that were lost', async () => {
    const { make, check, people, clock } = await newBench();
    const { secret } = await make();
    await check('alice', secret);
    await people.noteSignIn({ ...ALICE, groups: ['oidc:readers'] }, unending);
    clock.advance(BELIEVED_MS);
    expect(await check('alice', secret)).toMatchObject({ groups: ['oidc:readers'] });
  });

  test('end when they are revoked, within half a minute, and when they expire', async () => {
    const { make, check, passwords, clock } = await newBench();
    const [first, second] = [await make(), await make()];
    await check('alice', first.secret);
    expect(await passwords.revoke(ALICE.id, first.record.id, unending)).toBe(true);
    clock.advance(BELIEVED_MS);
    expect(await check('alice', first.secret)).toBe('wrong');
    expect(await check('alice', second.secret)).toEqual(ALICE);
    clock.advance(DAY_MS);
    expect(await check('alice', second.secret)).toBe('wrong');
  });

  test('of somebody who is locked out open nothing, and a new sign-in does not let him in again', async () => {
    const { make, check, people, clock } = await newBench();
    const { secret } = await make();
    await check('alice', secret);
    await people.setLocked(ALICE.id, true, unending);
    clock.advance(BELIEVED_MS);
    expect(await check('alice', secret)).toBe('wrong');
    expect(await people.noteSignIn(ALICE, unending)).toBe(false);
    expect(await check('alice', secret)).toBe('wrong');
    await people.setLocked(ALICE.id, false, unending);
    expect(await check('alice', secret)).toEqual(ALICE);
  });

  test('are listed and revoked by their owner alone', async () => {
    const { make, passwords, clock } = await newBench();
    const mine = await make('laptop');
    clock.advance(1);
    await make('desktop');
    const bob = { ...ALICE, id: 'oidc:https://login.example#b0b', name: 'bob' };
    expect((await passwords.list(ALICE.id, unending)).map(({ label }) => label)).toEqual([
      'laptop',
      'desktop',
    ]);
    expect(await passwords.list(bob.id, unending)).toEqual([]);
    expect(await passwords.revoke(bob.id, mine.record.id, unending)).toBe(false);
    expect(await passwords.revoke(ALICE.id, '../../x', unending)).toBe(false);
    expect(await passwords.list(ALICE.id, unending)).toHaveLength(2);
  });

  test('tell when they were used last', async () => {
    const { make, check, passwords } = await newBench();
    const { secret, record } = await make();
    expect(await passwords.lastUse(record, unending)).toBeUndefined();
    await check('alice', secret);
    expect(await passwords.lastUse(record, unending)).toBeInstanceOf(Date);
  });

  test('are fifty at most', async () => {
    const { make } = await newBench();
    for (let index = 0; index < 50; index += 1) await make();
    await expect(make()).rejects.toMatchObject({ code: 'DENIED' });
  });

  test('cannot be asked for while the store is away', async () => {
    const { make, check, records } = await newBench();
    const { secret } = await make();
    records.isBroken = true;
    await expect(check('alice', secret)).rejects.toThrow(IdentitySourceError);
  });
});
