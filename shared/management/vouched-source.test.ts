import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { Identity } from '../auth/identity.ts';
import type { PasswordSource } from '../auth/password-source.ts';
import { createTempStore, type TempStore } from '../content/testing/temp-store.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { People } from './people.ts';
import { VouchedSource } from './vouched-source.ts';

let store: TempStore;
beforeAll(async () => {
  store = await createTempStore();
});
afterAll(() => store.remove());

test('people of a directory are put down with their groups of today, and kept out when they are locked out', async () => {
  let groups = ['ldap:staff'];
  const directory: PasswordSource = {
    name: 'ldap',
    check: ({ username, password }) => {
      if (username !== 'carol') return Promise.resolve('unknown');
      const { id, name } = { id: 'ldap:carol', name: 'carol' };
      const carol: Identity = { kind: 'user', id, name, groups, isAdmin: false };
      return Promise.resolve(password === 'right' ? carol : 'wrong');
    },
  };
  const people = new People(store.records, systemClock);
  const source = new VouchedSource(directory, people);
  const check = (username: string, password: string) =>
    source.check({ username, password }, unending);

  expect(source).toMatchObject({ name: 'ldap', isElsewhere: true });
  expect(await check('dora', 'right')).toBe('unknown');
  expect(await check('carol', 'wrong')).toBe('wrong');
  expect(await people.find('ldap:carol', unending)).toBeUndefined();
  expect(await check('carol', 'right')).toMatchObject({ id: 'ldap:carol' });
  expect(await people.find('ldap:carol', unending)).toMatchObject({ groups: ['ldap:staff'] });
  groups = [];
  expect(await check('carol', 'right')).toMatchObject({ groups: [] });
  expect(await people.find('ldap:carol', unending)).toMatchObject({ groups: [] });

  await people.setLocked('ldap:carol', true, unending);
  expect(await check('carol', 'right')).toBe('wrong');
  await people.setLocked('ldap:carol', false, unending);
  expect(await check('carol', 'right')).toMatchObject({ id: 'ldap:carol' });
});
