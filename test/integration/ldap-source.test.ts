import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { LdapConfig } from '../../shared/auth/ldap/ldap-config.ts';
import { LdapSource } from '../../shared/auth/ldap/ldap-source.ts';
import { IdentitySourceError } from '../../shared/auth/password-source.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import {
  type CertificateAuthority,
  makeCertificateAuthority,
} from '../support/certificate-authority.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { DIRECTORY, type Slapd, startSlapd } from '../support/start-slapd.ts';
import { waitFor } from '../support/wait-for.ts';

const { signal } = new AbortController();
const { base, users, groups } = DIRECTORY;

const LDIF = `dn: uid=alice,${users}
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
userPassword: correct horse
memberOf: cn=developers,${groups}
memberOf: cn=admins,ou=elsewhere,${base}

dn: uid=bob,${users}
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
userPassword: battery staple
memberOf: cn=registry-admins,${groups}

dn: uid=twin,${users}
objectClass: inetOrgPerson
uid: twin
uid: second
cn: First twin
sn: T
userPassword: same

dn: cn=other twin,${users}
objectClass: inetOrgPerson
uid: twin
cn: other twin
sn: T
userPassword: same

dn: uid=mute,${users}
objectClass: inetOrgPerson
uid: mute
cn: Mute
sn: M

dn: cn=developers,${groups}
objectClass: groupOfNames
cn: developers
member: uid=alice,${users}
member: uid=bob,${users}

dn: cn=registry-admins,${groups}
objectClass: groupOfNames
cn: registry-admins
member: uid=bob,${users}

dn: uid=dora,${users}
objectClass: inetOrgPerson
uid: dora
cn: Dora
sn: D
userPassword: swiper
memberOf: cn=registry-admins,ou=lab,${groups}

dn: ou=lab,${groups}
objectClass: organizationalUnit
ou: lab

dn: cn=registry-admins,ou=lab,${groups}
objectClass: groupOfNames
cn: registry-admins
member: uid=dora,${users}

dn: ou=referred,${users}
objectClass: referral
objectClass: extensibleObject
ou: referred
ref: ldap://127.0.0.1:1/ou=referred,${users}
`;

describeWithTools(['slapd', 'openssl'], 'LdapSource at OpenLDAP', () => {
  let authority: CertificateAuthority;
  let slapd: Slapd;

  beforeAll(async () => {
    authority = await makeCertificateAuthority();
    const certificate = await authority.issue(['127.0.0.1', 'localhost']);
    slapd = await startSlapd({ certificate, ldif: LDIF });
  });
  afterAll(async () => {
    await slapd.stop();
  });

  function configuration(changes: Partial<LdapConfig> = {}): LdapConfig {
    return {
      url: { scheme: 'ldaps', host: 'localhost', port: slapd.tlsPort },
      startTls: false,
      certificateAuthorities: readFileSync(authority.certificateFile, 'utf8'),
      account: DIRECTORY.account,
      users: { base: users, filter: '(uid={username})', nameAttribute: 'uid' },
      groups: { kind: 'memberOf', base: groups },
      adminGroup: undefined,
      ...changes,
    };
  }
  const source = (changes?: Partial<LdapConfig>) =>
    new LdapSource(configuration(changes), systemClock);
  const check = (username: string, password: string, changes?: Partial<LdapConfig>) =>
    source(changes).check({ username, password }, signal);

  const ALICE = {
    kind: 'user',
    id: 'ldap:alice',
    name: 'alice',
    groups: ['ldap:developers'],
    isAdmin: false,
  };
  const startTls = { scheme: 'ldap', host: '127.0.0.1' } as const;

  test('a password that the directory takes makes an identity, over ldaps and over StartTLS', async () => {
    expect(await check('alice', 'correct horse')).toEqual(ALICE);
    const url = { ...startTls, port: slapd.port };
    expect(await check('alice', 'correct horse', { url, startTls: true })).toEqual(ALICE);
    expect(slapd.logs()).toContain('STARTTLS');
  });

  test('every spelling of a name that the directory takes is the same identity', async () => {
    expect(await check('ALICE', 'correct horse')).toEqual(ALICE);
    expect(await check('alice ', 'correct horse')).toEqual(ALICE);
  });

  test('groups are searched for where that is configured, and one of them makes administrators', async () => {
    const changes = {
      groups: { kind: 'search', base: groups, filter: '(member={dn})', nameAttribute: 'cn' },
      adminGroup: 'registry-admins',
    } as const;
    expect(await check('bob', 'battery staple', changes)).toMatchObject({
      groups: ['ldap:developers', 'ldap:registry-admins'],
      isAdmin: true,
    });
    expect(await check('alice', 'correct horse', changes)).toMatchObject({
      groups: ['ldap:developers'],
      isAdmin: false,
    });
  });

  test('a group with the name of the administrators that somebody made deeper below makes none', async () => {
    const search = { kind: 'search', base: groups, filter: '(member={dn})', nameAttribute: 'cn' };
    for (const how of [search, { kind: 'memberOf', base: groups }] as NonNullable<
      LdapConfig['groups']
    >[]) {
      for (const adminGroup of ['registry-admins', `CN=registry-admins, ${groups}`]) {
        const changes = { groups: how, adminGroup };
        expect(await check('dora', 'swiper', changes)).toMatchObject({ isAdmin: false });
        expect(await check('bob', 'battery staple', changes)).toMatchObject({ isAdmin: true });
      }
    }
    const named = { adminGroup: `cn=registry-admins,ou=lab,${groups}` };
    expect(await check('dora', 'swiper', named)).toMatchObject({ isAdmin: true });
  });

  test('a group of the same name outside of the base of groups gives nothing', async () => {
    expect(await check('alice', 'correct horse', { adminGroup: 'admins' })).toEqual(ALICE);
  });

  test('wrong passwords, users without one and unknown users are told apart for us alone', async () => {
    expect(await check('alice', 'wrong')).toBe('wrong');
    expect(await check('mute', 'anything')).toBe('wrong');
    expect(await check('nobody', 'anything')).toBe('unknown');
  });

  test('an empty password and names that nobody has reach no directory', async () => {
    const before = slapd.logs().length;
    const nowhere = { url: { scheme: 'ldaps', host: '127.0.0.1', port: 1 } } as const;
    expect(await check('alice', '', nowhere)).toBe('unknown');
    expect(await check('', 'x', nowhere)).toBe('unknown');
    expect(await check('alice\0', 'correct horse', nowhere)).toBe('unknown');
    expect(await check('a'.repeat(10_240), 'x', nowhere)).toBe('unknown');
    expect(slapd.logs().length).toBe(before);
  });

  test.each(['*', '*)(uid=*', 'ali*', 'alice)(objectClass=*', 'alice\\', '\\2a', 'uid=alice'])(
    'the name %j matches nothing but itself',
    async (username) => {
      expect(await check(username, 'correct horse')).toBe('unknown');
    },
  );

  test('two entries for one name let nobody in', async () => {
    await expect(check('twin', 'same')).rejects.toThrow(IdentitySourceError);
  });

  test('referrals are not followed', async () => {
    const everyone = {
      base: users,
      filter: '(|(uid={username})(ou=referred))',
      nameAttribute: 'uid',
    };
    expect(await check('alice', 'correct horse', { users: everyone })).toEqual(ALICE);
    const referred = { ...everyone, base: `ou=referred,${users}` };
    await expect(check('alice', 'correct horse', { users: referred })).rejects.toThrow(
      IdentitySourceError,
    );
  });

  describe('a connection that is not to be trusted', () => {
    const refused = async (changes: Partial<LdapConfig>, reason: RegExp) => {
      const before = slapd.logs();
      const outcome: unknown = await check('alice', 'correct horse', changes).catch(
        (error: unknown) => error,
      );
      expect(outcome).toBeInstanceOf(IdentitySourceError);
      expect(String((outcome as Error).cause)).toMatch(reason);
      expect(slapd.logs().slice(before.length)).not.toContain('BIND dn=');
    };
    const system = { certificateAuthorities: undefined };

    test('is given no password when its certificate is of an unknown authority', async () => {
      await refused(system, /certificate/);
      await refused(
        { ...system, url: { ...startTls, port: slapd.port }, startTls: true },
        /certificate/,
      );
    });

    test('is given no password when its certificate is for another name', async () => {
      const url = { scheme: 'ldaps', host: '127.0.0.2', port: slapd.tlsPort } as const;
      await refused({ url }, /ECONNREFUSED|altnames/);
    });
  });

  test('a wrong account of our own is no wrong password of the user', async () => {
    const account = { ...DIRECTORY.account, password: 'not it' };
    await expect(check('alice', 'correct horse', { account })).rejects.toThrow(IdentitySourceError);
  });

  test('a directory that is down cannot be asked', async () => {
    const url = { scheme: 'ldaps', host: '127.0.0.1', port: 1 } as const;
    await expect(check('alice', 'correct horse', { url })).rejects.toThrow(IdentitySourceError);
  });

  test('a directory that hangs is given up after 5 s, however many wait, and works again afterwards', async () => {
    const clock = new ManualClock();
    const hanging = new LdapSource(configuration(), clock);
    slapd.pause();
    try {
      const attempts = Array.from({ length: 300 }, () =>
        hanging
          .check({ username: 'alice', password: 'correct horse' }, signal)
          .catch((error: unknown) => error),
      );
      await waitFor(() => clock.sleepers > 0, { what: 'the deadlines to run' });
      clock.advance(5_000);
      const outcomes = await Promise.all(attempts);
      expect(outcomes.every((outcome) => outcome instanceof IdentitySourceError)).toBe(true);
    } finally {
      slapd.resume();
    }
    expect(await check('alice', 'correct horse')).toEqual(ALICE);
    // No more connections were opened than sign-ins may run at once.
    const hung = slapd.logs().match(/ACCEPT/g)?.length ?? 0;
    expect(hung).toBeLessThan(100);
  });

  test('a client that leaves takes its sign-in along', async () => {
    slapd.pause();
    const leaving = new AbortController();
    try {
      const attempt = source().check(
        { username: 'alice', password: 'correct horse' },
        leaving.signal,
      );
      leaving.abort(new Error('gone'));
      await expect(attempt).rejects.toThrow('gone');
    } finally {
      slapd.resume();
    }
  });
});
