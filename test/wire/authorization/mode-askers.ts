import { generateKeyPairSync } from 'node:crypto';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { withoutField } from '../../../shared/management/without-field.ts';
import { inTurn, PASSWORD } from './accounts.ts';
import { addressOf, type GetToken, type NamedAsker, scopesFor } from './askers.ts';
import type { ExternalIssuer } from './external-issuer.ts';
import type { Role } from './model.ts';

type Shown = Pick<NamedAsker, 'title' | 'who' | 'proof' | 'headers'>;
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** Who asks for little: somebody like him asks for the rest. */
const brief = (shown: Shown): NamedAsker => ({
  ...shown,
  isBad: shown.proof === 'bad',
  isCurious: false,
  isBrief: true,
  isCli: false,
});
const thorough = (shown: Shown): NamedAsker => ({
  ...brief(shown),
  isCurious: true,
  isBrief: false,
});

const NOBODY = thorough({
  title: 'nobody',
  who: 'nobody',
  proof: 'nothing',
  headers: () => Promise.resolve({}),
});
const bad = (title: string, headers: NamedAsker['headers']): NamedAsker =>
  brief({ title, who: 'nobody', proof: 'bad', headers });

/** In the mode `htpasswd`, where `alice` is in the file. */
export const askersOfFile = (): readonly NamedAsker[] => [
  NOBODY,
  thorough({
    title: 'alice',
    who: 'alice',
    proof: 'password',
    headers: () => Promise.resolve({ authorization: basic('alice', PASSWORD) }),
  }),
  bad('who mistypes', ({ serial }) =>
    Promise.resolve({
      authorization: basic(inTurn('mistaken', serial), 'incorrect horse'),
      'x-forwarded-for': addressOf(serial),
    }),
  ),
  bad('who is not in the file', ({ serial }) =>
    Promise.resolve({
      authorization: basic(`stranger-${serial}`, PASSWORD),
      'x-forwarded-for': addressOf(serial + 100_000),
    }),
  ),
  bad('a token that is none', () => Promise.resolve(bearer('garbage'))),
];

/** With AUTH_ANONYMOUS_PULL there are tokens, too. */
export function askersOfPublicFile(getToken: GetToken): readonly NamedAsker[] {
  const withToken = (who: 'alice' | 'nobody', proof: 'token' | 'pull-token' | 'other-token') => ({
    title: `${who} with a ${proof}`,
    who,
    proof,
    headers: async ({ role, scope, source }: Parameters<NamedAsker['headers']>[0]) => {
      const account = who === 'alice' ? (['alice', PASSWORD] as const) : undefined;
      return bearer(await getToken(role, account, scopesFor(proof, scope, source)));
    },
  });
  return [
    ...askersOfFile(),
    thorough(withToken('alice', 'token')),
    brief(withToken('alice', 'pull-token')),
    brief(withToken('alice', 'other-token')),
    brief(withToken('nobody', 'token')),
  ];
}

/** In the mode `external`. */
export function askersOfIssuer(issuer: ExternalIssuer): readonly NamedAsker[] {
  const access = (proof: 'token' | 'pull-token' | 'other-token', scope: string, source?: string) =>
    scopesFor(proof, scope, source).map((text) => {
      const [type = '', name = '', actions = ''] = text.split(':');
      return { type, name, actions: actions.split(',') };
    });
  const granted = (proof: 'token' | 'pull-token' | 'other-token'): Shown => ({
    title: `a ${proof}`,
    who: 'alice',
    proof,
    headers: ({ role, scope, source }) =>
      Promise.resolve(bearer(issuer.sign(issuer.claims(role, access(proof, scope, source))))),
  });
  type Claims = Record<string, unknown>;
  const forged = (title: string, change: (claims: Claims, role: Role) => string): NamedAsker =>
    bad(title, ({ role, scope }) =>
      Promise.resolve(bearer(change(issuer.claims(role, access('token', scope)), role))),
    );
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return [
    NOBODY,
    thorough(granted('token')),
    brief(granted('pull-token')),
    brief(granted('other-token')),
    bad('a password', () => Promise.resolve({ authorization: basic('alice', PASSWORD) })),
    forged('a token of another key', (claims) => issuer.sign(claims, stranger)),
    forged('a token of another issuer', (claims) => issuer.sign({ ...claims, iss: 'elsewhere' })),
    forged('a token for another service', (claims) => issuer.sign({ ...claims, aud: 'elsewhere' })),
    forged('a token for the other role', (_claims, role) => {
      const other = role === 'push' ? 'mirror' : 'push';
      return issuer.sign(issuer.claims(other, access('token', 'secret/app')));
    }),
    forged('a token that has lapsed', ({ iat, ...claims }) =>
      issuer.sign({ ...claims, exp: Number(iat) - 61 }),
    ),
    forged('a token without an end', (claims) => issuer.sign(withoutField(claims, 'exp'))),
  ];
}
