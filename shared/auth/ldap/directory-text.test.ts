import { describe, expect, test } from '@jest/globals';

import {
  filledFilter,
  firstName,
  isBelow,
  isDirectlyBelow,
  isSameDn,
  valuesOf,
} from './directory-text.ts';

describe('directory text', () => {
  test('a name in a filter is nothing but a name', () => {
    expect(filledFilter('(&(uid={username})(o=x))', { username: '*)(uid=*\\\0é' })).toBe(
      '(&(uid=\\2a\\29\\28uid=\\2a\\5c\\00é)(o=x))',
    );
  });

  test('a name that looks like another placeholder or a replacement pattern is not filled in again', () => {
    expect(filledFilter('(|(uid={username})(dn={dn}))', { username: '{dn}$&', dn: 'cn=a' })).toBe(
      '(|(uid={dn}$&)(dn=cn=a))',
    );
  });

  test.each([
    ['cn=a,ou=groups,dc=x', 'ou=groups,dc=x', true],
    ['CN=a, OU=Groups , DC=X', 'ou=groups,dc=x', true],
    ['ou=groups,dc=x', 'ou=groups,dc=x', true],
    ['cn=a,ou=other,dc=x', 'ou=groups,dc=x', false],
    ['cn=a,xou=groups,dc=x', 'ou=groups,dc=x', false],
    ['cn=a\\,ou=groups,dc=x', 'ou=groups,dc=x', false],
    ['dc=x', 'ou=groups,dc=x', false],
    ['cn=a,ou=caf\\c3\\a9,dc=x', 'ou=café,dc=x', true],
  ])('%s below %s is %s', (dn, base, expected) => {
    expect(isBelow(dn, base)).toBe(expected);
  });

  test.each([
    ['cn=developers,ou=groups,dc=x', ['developers']],
    ['cn=a\\, b\\2bc,ou=groups', ['a, b+c']],
    ['cn=caf\\c3\\a9,dc=x', ['café']],
    ['cn=a+uid=b,dc=x', []],
    ['', []],
  ])('the first name of %s is %j', (dn, expected) => {
    expect(firstName(dn)).toEqual(expected);
  });

  test('a group is told from one of the same name that somebody made deeper below the base', () => {
    const base = 'ou=groups,dc=x';
    expect(isDirectlyBelow('cn=admins,OU=Groups, dc=x', base)).toBe(true);
    expect(isDirectlyBelow('cn=admins,ou=lab,ou=groups,dc=x', base)).toBe(false);
    expect(isDirectlyBelow('cn=admins\\,ou=groups,dc=x', base)).toBe(false);
    expect(isDirectlyBelow(base, base)).toBe(false);
    expect(isSameDn('CN=Admins, ou=groups,dc=x', 'cn=admins,ou=groups,dc=x')).toBe(true);
    expect(isSameDn('cn=admins,ou=lab,ou=groups,dc=x', 'cn=admins,ou=groups,dc=x')).toBe(false);
  });

  test('values are found whatever the case of the attribute, bytes and empty ones are none', () => {
    const entry = { dn: 'cn=a', UID: ['alice', ''], photo: Buffer.from('x') };
    expect(valuesOf(entry, 'uid')).toEqual(['alice']);
    expect(valuesOf(entry, 'photo')).toEqual([]);
    expect(valuesOf(entry, 'dn')).toEqual([]);
    expect(valuesOf(entry, 'mail')).toEqual([]);
  });
});
