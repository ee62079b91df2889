import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

import { systemClock } from '../../lifecycle/clock.ts';
import { IdentitySourceError } from '../password-source.ts';
import type { WorkloadIssuer } from './workload-config.ts';
import { WorkloadIdentity } from './workload-identity.ts';

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

const SUBJECT = 'system:serviceaccount:ci:builder';
let server: Server;
let issuer: string;
let keys: Keys;
let others: Keys;
/** What the server was asked for. */
let asked: string[] = [];
/** What it answers; undefined: 500. */
let published: unknown[] | undefined;

beforeAll(async () => {
  [keys, others] = [
    await generateKeyPair('ES256', { extractable: true }),
    await generateKeyPair('ES256', { extractable: true }),
  ];
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (!published) response.writeHead(500).end();
    else if (request.url === '/keys') response.end(JSON.stringify({ keys: published }));
    else response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(async () => {
  asked = [];
  published = [{ ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'ES256' }];
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const source = (changes: Partial<WorkloadIssuer> = {}) =>
  new WorkloadIdentity(
    [
      {
        issuer,
        jwksUri: undefined,
        audience: 'registry.example',
        algorithms: ['ES256'],
        groups: [
          { group: 'builders', claim: 'kubernetes.io/namespace', pattern: 'ci' },
          { group: 'ci-accounts', claim: 'sub', pattern: 'system:serviceaccount:ci:*' },
        ],
        ...changes,
      },
    ],
    systemClock,
  );

interface TokenChanges {
  readonly claims?: JWTPayload;
  readonly header?: Record<string, unknown>;
  readonly key?: Parameters<SignJWT['sign']>[0];
}

async function token({ claims, header, key }: TokenChanges = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const payload = {
    ...{ iss: issuer, sub: SUBJECT, aud: ['registry.example', 'other'], iat: now, exp: now + 600 },
    'kubernetes.io': { namespace: 'ci' },
    ...claims,
  };
  return await new SignJWT(payload)
    .setProtectedHeader({ alg: 'ES256', kid: 'one', ...header })
    .sign(key ?? keys.privateKey);
}

const check = (password: string, from = source()) =>
  from.check({ username: 'any', password }, new AbortController().signal);

describe('WorkloadIdentity', () => {
  test('a token of a configured issuer makes an identity with the groups that its claims fit', async () => {
    const expected = {
      kind: 'robot',
      id: `workload:${issuer}#${SUBJECT}`,
      name: SUBJECT,
      groups: ['workload:builders', 'workload:ci-accounts'],
      isAdmin: false,
    };
    expect(await check(await token())).toEqual(expected);
    expect(asked).toEqual(['/.well-known/openid-configuration', '/keys']);
    asked = [];
    expect(await check(await token(), source({ jwksUri: `${issuer}/keys` }))).toEqual(expected);
    expect(asked).toEqual(['/keys']);
  });

  test('keys are fetched once for many tokens', async () => {
    const from = source();
    for (let index = 0; index < 5; index += 1) await check(await token(), from);
    expect(asked).toHaveLength(2);
  });

  test('made-up key ids cause no request each', async () => {
    const from = source();
    for (let index = 0; index < 20; index += 1) {
      expect(await check(await token({ header: { kid: `made-up-${index}` } }), from)).toBe('wrong');
    }
    expect(asked).toHaveLength(2);
  });

  test.each<[string, () => TokenChanges]>([
    ['another audience', () => ({ claims: { aud: 'registry.evil' } })],
    ['no audience', () => ({ claims: { aud: [] } })],
    ['the past', () => ({ claims: { exp: Math.floor(Date.now() / 1_000) - 61 } })],
    ['no end', () => ({ claims: { exp: undefined } as unknown as JWTPayload })],
    ['no beginning', () => ({ claims: { iat: undefined } as unknown as JWTPayload })],
    ['the future', () => ({ claims: { nbf: Math.floor(Date.now() / 1_000) + 120 } })],
    ['no subject', () => ({ claims: { sub: '' } })],
    ['a subject that no line holds', () => ({ claims: { sub: 'a\nb' } })],
    [
      'no configured group',
      () => ({ claims: { sub: 'system:serviceaccount:x:y', 'kubernetes.io': { namespace: 'x' } } }),
    ],
    ['a key of its own', () => ({ key: others.privateKey })],
    ['a header that names keys', () => ({ header: { jku: 'https://evil.example/keys' } })],
    ['a certificate in its header', () => ({ header: { x5c: ['AAAA'] } })],
  ])('a token with %s is wrong', async (_title, changes) => {
    expect(await check(await token(changes()))).toBe('wrong');
  });

  test('a key in the header of a token proves nothing and is not used', async () => {
    const jwk = await exportJWK(others.publicKey);
    expect(await check(await token({ header: { jwk }, key: others.privateKey }))).toBe('wrong');
    expect(asked).toEqual([]);
  });

  test('other algorithms are wrong, the published key as an HMAC secret too', async () => {
    const secret = new TextEncoder().encode(await exportSPKI(keys.publicKey));
    expect(await check(await token({ header: { alg: 'HS256' }, key: secret }))).toBe('wrong');
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await token()).split('.')[1] ?? ''}.AA`;
    expect(await check(unsigned)).toBe('wrong');
  });

  test('passwords, tokens of others and what is too long are unknown, without a request', async () => {
    for (const password of [
      '',
      'password',
      'a.b.c',
      '.'.repeat(16_384),
      await token({ claims: { iss: 'https://other.example' } }),
      await token({ claims: { padding: 'x'.repeat(20_000) } }),
    ]) {
      expect(await check(password)).toBe('unknown');
    }
    expect(asked).toEqual([]);
  });

  test('an issuer that does not answer, or is another, cannot be asked', async () => {
    const signed = await token();
    published = undefined;
    await expect(check(signed)).rejects.toThrow(IdentitySourceError);
    await expect(check(signed, source({ jwksUri: `${issuer}/keys` }))).rejects.toThrow(
      IdentitySourceError,
    );
    const other = issuer.replace('127.0.0.1', 'localhost');
    published = [];
    await expect(
      check(await token({ claims: { iss: other } }), source({ issuer: other })),
    ).rejects.toThrow(IdentitySourceError);
  });
});
