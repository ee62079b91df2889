import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { systemClock } from '../../lifecycle/clock.ts';
import { OidcSignIn } from './oidc-sign-in.ts';

const own = generateKeyPairSync('rsa', { modulusLength: 2048 });
const CLIENT = 'twinport';
const CALLBACK = 'http://127.0.0.1:1/auth/oidc/callback';

type Claims = Record<string, unknown>;
interface Forgery {
  /** What differs from the claims that are right; undefined takes one away. */
  readonly claims?: Claims;
  readonly key?: KeyObject | string;
  readonly algorithm?: jwt.Algorithm;
}

/** A provider that signs what it is told, for the sign-in that came last. */
describe('an ID token', () => {
  let server: Server;
  let issuer: string;
  let asked: URLSearchParams;
  let forgery: Forgery;
  const at = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

  const idToken = (): string => {
    const { claims, key = own.privateKey, algorithm = 'RS256' } = forgery;
    const nonce = asked.get('nonce');
    const right = { iss: issuer, sub: 'f3a1', aud: CLIENT, exp: at(60), iat: at(0), nonce };
    const payload = { ...right, preferred_username: 'alice', groups: [], ...claims };
    // Without what is undefined.
    const said = JSON.parse(JSON.stringify(payload)) as object;
    return jwt.sign(said, key, { algorithm, keyid: 'own' });
  };
  function answer({ url }: IncomingMessage): object {
    if (url === '/jwks') {
      const jwk = own.publicKey.export({ format: 'jwk' });
      return { keys: [{ ...jwk, kid: 'own', use: 'sig', alg: 'RS256' }] };
    }
    if (url === '/token') {
      return { access_token: 'x', token_type: 'Bearer', id_token: idToken() };
    }
    return {
      issuer,
      ...{ authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` },
      ...{ jwks_uri: `${issuer}/jwks`, id_token_signing_alg_values_supported: ['RS256'] },
      ...{ response_types_supported: ['code'], subject_types_supported: ['public'] },
    };
  }

  beforeAll(async () => {
    server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer(request)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  beforeEach(() => {
    forgery = {};
  });

  async function signIn(): Promise<unknown> {
    const config = {
      ...{ issuer, clientId: CLIENT, clientSecret: 'secret', callbackUrl: CALLBACK, scopes: [] },
      ...{ nameClaim: 'preferred_username', groupsClaim: 'groups', adminGroup: undefined },
    };
    const web = new OidcSignIn(config, { clock: systemClock, stateKey: randomBytes(32) });
    const { url, sealedState } = await web.begin('/auth/');
    asked = new URL(url).searchParams;
    const query = new URLSearchParams({ code: 'x', state: asked.get('state') ?? '' });
    return (await web.finish(`?${query.toString()}`, sealedState)).identity;
  }
  const refused = { code: 'UNAUTHORIZED', status: 401 };

  test('that is right makes an identity of issuer and subject', async () => {
    expect(await signIn()).toMatchObject({ id: `oidc:${issuer}#f3a1`, name: 'alice' });
  });

  test('is right within a minute of clocks that differ', async () => {
    forgery = { claims: { exp: at(-50) } };
    expect(await signIn()).toMatchObject({ name: 'alice' });
  });

  test.each<[string, () => Forgery]>([
    ['of another issuer', () => ({ claims: { iss: 'https://evil.example' } })],
    ['for another client', () => ({ claims: { aud: 'another' } })],
    ['for several, by another one', () => ({ claims: { aud: [CLIENT, 'b'], azp: 'b' } })],
    ['for several, by nobody', () => ({ claims: { aud: [CLIENT, 'b'] } })],
    ['without an audience', () => ({ claims: { aud: undefined } })],
    ['of another sign-in', () => ({ claims: { nonce: 'of-another' } })],
    ['without a nonce', () => ({ claims: { nonce: undefined } })],
    ['that has expired', () => ({ claims: { exp: at(-120) } })],
    ['without an end', () => ({ claims: { exp: undefined } })],
    ['without a subject', () => ({ claims: { sub: undefined } })],
    ['that is not good yet', () => ({ claims: { nbf: at(120) } })],
    [
      'of another key',
      () => ({ key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey }),
    ],
    ['without a signature', () => ({ key: '', algorithm: 'none' })],
    [
      'signed with the public key as a secret',
      () => ({
        key: own.publicKey.export({ type: 'spki', format: 'pem' }),
        algorithm: 'HS256',
      }),
    ],
  ])('%s signs nobody in (T-OI2)', async (_what, forge) => {
    forgery = forge();
    await expect(signIn()).rejects.toMatchObject(refused);
  });

  test('whose address is somebody else is still the one of its subject', async () => {
    forgery = { claims: { email: 'root@example.com@evil.example', email_verified: true } };
    expect(await signIn()).toMatchObject({ id: `oidc:${issuer}#f3a1`, isAdmin: false });
  });
});
