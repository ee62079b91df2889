import { generateKeyPairSync, type KeyObject } from 'node:crypto';

import jwt from 'jsonwebtoken';

import { formToken } from '../../../shared/api/session-cookies.ts';
import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { keyId } from '../../../shared/auth/tokens/token-keys.ts';
import { type Accounts, inTurn } from './accounts.ts';
import type { Asker, Role, Somebody } from './model.ts';

/** What somebody sends to show who he is, for a request of this number to what has this name. */
interface Question {
  readonly role: Role;
  /** As token scopes have it. */
  readonly scope: string;
  /** Of the blob that is to be mounted. */
  readonly source: string | undefined;
  readonly serial: number;
}

export interface NamedAsker extends Asker {
  readonly title: string;
  /** What he asks for makes no difference. */
  readonly isBad: boolean;
  /** Asks for what has the same rights by other names, too. */
  readonly isCurious: boolean;
  /** Somebody like him asks for the rest. */
  readonly isBrief: boolean;
  /** By a password for the command line. */
  readonly isCli: boolean;
  headers(question: Question): Promise<Readonly<Record<string, string>>>;
}

/** The token for these scopes; `account` undefined: for nobody. */
export type GetToken = (
  role: Role,
  account: readonly [string, string] | undefined,
  scopes: readonly string[],
) => Promise<string>;

/** Of another source: their rights follow from groups. */
const OF_PROVIDER = ['grouped', 'twofold', 'both', 'namesake', 'left'];
const PEOPLE = ['stranger', 'guest', 'developer', 'maintainer', 'keeper', 'root'];
const ROBOTS = ['puller', 'pusher', 'builder', 'sweeper', 'elsewhere', 'leftover'];

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** Everybody who asks, with every way to say who he is; without `forged` there are no wrong ones among them. */
export function makeAskers(
  accounts: Accounts,
  getToken: GetToken,
  forged: { readonly key: KeyObject; readonly pages: string } | undefined,
): readonly NamedAsker[] {
  const account = (who: string): readonly [string, string] => {
    const found = accounts.get(who);
    if (!found) throw new Error(`there is no account of ${who}`);
    return found;
  };
  const withToken = (who: Somebody, proof: 'token' | 'pull-token' | 'other-token'): NamedAsker => ({
    title: `${who} with a ${proof}`,
    who,
    proof,
    isBad: proof === 'other-token',
    isCurious: ['nobody', 'stranger', 'guest', 'root', 'puller', 'elsewhere'].includes(who),
    isBrief: OF_PROVIDER.includes(who),
    isCli: false,
    headers: async ({ role, scope, source }) =>
      bearer(
        await getToken(
          role,
          who === 'nobody' ? undefined : account(who),
          scopesFor(proof, scope, source),
        ),
      ),
  });
  const withPassword = (who: Somebody): NamedAsker => ({
    title: who,
    who,
    proof: 'password',
    isBad: false,
    isCurious: ['stranger', 'guest', 'leftover'].includes(who),
    isBrief: OF_PROVIDER.includes(who),
    isCli: OF_PROVIDER.includes(who),
    headers: () => Promise.resolve({ authorization: basic(...account(who)) }),
  });
  const withSession = (who: Somebody): NamedAsker => {
    const token = accounts.session(who) ?? '';
    const headers = {
      cookie: `twinport-session=${token}`,
      origin: forged?.pages ?? '',
      'sec-fetch-site': 'same-origin',
      'x-twinport-form': formToken(token),
    };
    return {
      title: `${who} with a session`,
      who,
      proof: 'cookie',
      isBad: false,
      isCurious: false,
      isBrief: true,
      isCli: false,
      headers: () => Promise.resolve(headers),
    };
  };
  const keeper = withPassword('keeper');
  const known = [...PEOPLE, ...ROBOTS];
  return [
    {
      title: 'nobody',
      who: 'nobody',
      proof: 'nothing',
      isBad: false,
      isCurious: true,
      isBrief: false,
      isCli: false,
      headers: () => Promise.resolve({}),
    },
    withToken('nobody', 'token'),
    ...known.map(withPassword),
    {
      ...keeper,
      title: 'keeper by a password for the command line',
      isBrief: true,
      isCli: true,
      headers: () => Promise.resolve({ authorization: basic(...account('laptop')) }),
    },
    ...known.map((who) => withToken(who, 'token')),
    ...OF_PROVIDER.map(withPassword),
    ...['grouped', 'left'].map((who) => withToken(who, 'token')),
    ...[...OF_PROVIDER, 'root'].map(withSession),
    withToken('stranger', 'pull-token'),
    withToken('developer', 'pull-token'),
    withToken('maintainer', 'other-token'),
    withToken('root', 'other-token'),
    ...(forged ? badAskers(account, getToken, forged.key) : []),
  ];
}

export function scopesFor(
  proof: 'token' | 'pull-token' | 'other-token',
  scope: string,
  source: string | undefined,
): readonly string[] {
  switch (proof) {
    case 'token':
      return [
        `repository:${scope}:pull,push,delete`,
        ...(source === undefined ? [] : [`repository:${source}:pull`]),
      ];
    case 'pull-token':
      return [`repository:${scope}:pull`];
    case 'other-token':
      // A repository beside it, one below it, one above it.
      return [`${scope}x`, `${scope}/x`, scope.slice(0, -4)].map(
        (name) => `repository:${name}:pull,push,delete`,
      );
  }
}

/** Credentials that are not right; each request from an address of its own, for mistakes are counted. */
function badAskers(
  account: (who: string) => readonly [string, string],
  getToken: GetToken,
  key: KeyObject,
): NamedAsker[] {
  const bad = (title: string, headers: NamedAsker['headers']): NamedAsker => ({
    title,
    who: 'nobody',
    proof: 'bad',
    isBad: true,
    isCurious: false,
    isBrief: true,
    isCli: false,
    headers,
  });
  const taking = (kind: string): NamedAsker =>
    bad(kind, ({ serial }) =>
      Promise.resolve({
        authorization: basic(...account(inTurn(kind, serial))),
        'x-forwarded-for': addressOf(serial),
      }),
    );
  const forged = (title: string, change: (claims: Claims, role: Role) => string): NamedAsker =>
    bad(title, ({ role, scope }) => Promise.resolve(bearer(change(claimsFor(role, scope), role))));
  const signed = (claims: object, by: KeyObject = key, kid = keyId(key)): string =>
    jwt.sign(claims, by, { algorithm: 'ES256', keyid: kid });
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const other = (role: Role): Role => (role === 'push' ? 'mirror' : 'push');
  return [
    ...['revoked', 'mistaken', 'expired', 'switched-off'].map(taking),
    // What a docker daemon sends that is signed in at Docker Hub. A batch of them is one attempt.
    bad('a login of another registry', ({ serial }) => {
      const batch = Math.floor(serial / 64);
      return Promise.resolve({
        authorization: basic(`hub-user-${batch}`, 'dckr_pat_x'),
        'x-forwarded-for': addressOf(batch + 1_000_000),
      });
    }),
    bad('a token that is none', () => Promise.resolve(bearer('garbage'))),
    bad('a token of the other role', async ({ role, scope, source }) =>
      bearer(await getToken(other(role), account('root'), scopesFor('token', scope, source))),
    ),
    forged('a token of another key', (claims) => signed(claims, stranger)),
    forged('a token of another key with its own name', (claims) =>
      signed(claims, stranger, keyId(stranger)),
    ),
    forged('a token that has expired', (claims) =>
      signed({ ...claims, iat: claims.iat - 600, nbf: claims.nbf - 600, exp: claims.iat - 61 }),
    ),
    forged('a token for another service', (claims) => signed({ ...claims, aud: 'elsewhere' })),
    forged('a token of another issuer', (claims) => signed({ ...claims, iss: 'elsewhere' })),
    forged('a token that was written on', (claims) => {
      const [header, , signature] = signed({ ...claims, access: [] }).split('.');
      const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
      return [header, payload, signature].join('.');
    }),
    forged('a token without a signature', (claims) => {
      const [, payload] = signed(claims).split('.');
      const header = Buffer.from(JSON.stringify({ alg: 'none', kid: keyId(key) }));
      return [header.toString('base64url'), payload, ''].join('.');
    }),
  ];
}

/** In 10.0.0.0/8, which proxies tell of. */
export const addressOf = (serial: number): string =>
  `10.${(serial >> 16) & 255}.${(serial >> 8) & 255}.${serial & 255}`;

type Claims = ReturnType<typeof claimsFor>;

/** An administrator's, for everything that the name has; right but for what is changed in it. */
function claimsFor(role: Role, scope: string) {
  const now = Math.floor(Date.now() / 1000);
  const projects = ['public', 'secret', 'others', 'cached', 'passed'];
  const [first = ''] = scope.replace(/^local\//, '').split('/');
  return {
    iss: 'twinport',
    sub: 'root',
    aud: role === 'push' ? 'twinport' : 'twinport-mirror',
    iat: now,
    nbf: now,
    exp: now + 300,
    jti: 'forged',
    access: [
      {
        type: 'repository',
        name: scope,
        actions: ['pull', 'push', 'delete'],
        ...(projects.includes(first) && { project: `${first}-today` }),
      },
    ],
  };
}
