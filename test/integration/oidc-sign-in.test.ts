import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { OidcSignIn } from '../../shared/auth/oidc/oidc-sign-in.ts';
import { IdentitySourceError } from '../../shared/auth/password-source.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type OidcProvider, startOidcProvider } from '../support/start-oidc-provider.ts';

const CALLBACK = 'http://127.0.0.1:1/auth/oidc/callback';
const ALICE = { sub: 'f3a1', preferred_username: 'Alice', groups: ['developers', '/staff'] };
const stateKey = randomBytes(32);

describe('OidcSignIn at oidc-provider', () => {
  let provider: OidcProvider;

  beforeAll(async () => {
    provider = await startOidcProvider(CALLBACK);
  });
  beforeEach(() => {
    provider.account = ALICE;
  });
  afterAll(() => provider.close());

  const signIn = (changes: { issuer?: string; clientSecret?: string } = {}, key = stateKey) =>
    new OidcSignIn(
      {
        issuer: provider.issuer,
        clientId: provider.clientId,
        clientSecret: provider.clientSecret,
        callbackUrl: CALLBACK,
        scopes: ['profile', 'groups'],
        nameClaim: 'preferred_username',
        groupsClaim: 'groups',
        adminGroup: 'staff',
        ...changes,
      },
      { clock: systemClock, stateKey: key },
    );

  /** Leaves for the provider and comes back. */
  async function travel(from = signIn()) {
    const { url, sealedState } = await from.begin('/console/projects');
    const back = await provider.visit(url);
    return { url: new URL(url), sealedState, query: back.search };
  }

  const refused = expect.objectContaining({ code: 'UNAUTHORIZED', status: 401 }) as unknown;

  test('makes an identity of issuer and subject, with a name and groups', async () => {
    const one = signIn();
    const { query, sealedState } = await travel(one);
    expect(await one.finish(query, sealedState)).toEqual({
      identity: {
        kind: 'user',
        id: `oidc:${provider.issuer}#f3a1`,
        name: 'alice',
        groups: ['oidc:developers', 'oidc:staff'],
        isAdmin: true,
      },
      returnTo: '/console/projects',
    });
  });

  test('sends a code challenge, a state and a nonce along, new ones each time', async () => {
    const [one, other] = [await travel(), await travel()];
    for (const name of ['code_challenge', 'state', 'nonce']) {
      expect(one.url.searchParams.get(name)).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect(one.url.searchParams.get(name)).not.toBe(other.url.searchParams.get(name));
    }
    expect(one.url.searchParams.get('code_challenge_method')).toBe('S256');
    expect(one.sealedState).not.toContain(one.url.searchParams.get('state'));
  });

  test('ends on any replica with the same key, and on none with another', async () => {
    const { query, sealedState } = await travel();
    await expect(signIn({}, randomBytes(32)).finish(query, sealedState)).rejects.toEqual(refused);
    expect((await signIn().finish(query, sealedState)).identity.name).toBe('alice');
  });

  test('a group that was taken away is gone at the next sign-in', async () => {
    provider.account = { ...ALICE, groups: ['readers'] };
    const { query, sealedState } = await travel();
    const { identity } = await signIn().finish(query, sealedState);
    expect(identity).toMatchObject({ groups: ['oidc:readers'], isAdmin: false });
  });

  test('refuses a way back that another browser began, or nobody', async () => {
    const [mine, other] = [await travel(), await travel()];
    await expect(signIn().finish(mine.query, other.sealedState)).rejects.toEqual(refused);
    await expect(signIn().finish(mine.query, undefined)).rejects.toEqual(refused);
    await expect(signIn().finish(mine.query, 'nonsense')).rejects.toEqual(refused);
    await expect(signIn().finish('', mine.sealedState)).rejects.toEqual(refused);
  });

  test('takes a code once', async () => {
    const { query, sealedState } = await travel();
    await signIn().finish(query, sealedState);
    await expect(signIn().finish(query, sealedState)).rejects.toEqual(refused);
  });

  test('refuses an answer that names another issuer (RFC 9207)', async () => {
    const { query, sealedState } = await travel();
    const parameters = new URLSearchParams(query);
    expect(parameters.get('iss')).toBe(provider.issuer);
    parameters.set('iss', 'https://evil.example');
    await expect(signIn().finish(`?${parameters.toString()}`, sealedState)).rejects.toEqual(
      refused,
    );
  });

  test('refuses who was refused by the provider, and tells nothing of its words', async () => {
    provider.account = undefined;
    const { query, sealedState } = await travel();
    expect(query).toContain('access_denied');
    await expect(signIn().finish(query, sealedState)).rejects.toEqual(refused);
  });

  test('a wrong client secret is no fault of the person', async () => {
    const wrong = signIn({ clientSecret: 'another' });
    const { query, sealedState } = await travel(wrong);
    await expect(wrong.finish(query, sealedState)).rejects.toThrow(IdentitySourceError);
  });

  test('refuses who took longer than ten minutes', async () => {
    const clock = new ManualClock();
    const slow = new OidcSignIn(
      {
        ...{ issuer: provider.issuer, clientId: 'twinport', clientSecret: provider.clientSecret },
        ...{ callbackUrl: CALLBACK, scopes: [], nameClaim: 'name', groupsClaim: 'groups' },
        adminGroup: undefined,
      },
      { clock, stateKey },
    );
    const { url, sealedState } = await slow.begin(undefined);
    const { search } = await provider.visit(url);
    clock.advance(601_000);
    await expect(slow.finish(search, sealedState)).rejects.toEqual(refused);
  });

  test('a provider that is down, or is another, cannot be asked', async () => {
    await expect(signIn({ issuer: 'http://127.0.0.1:1' }).begin('/auth/')).rejects.toThrow(
      IdentitySourceError,
    );
    const { port } = new URL(provider.issuer);
    await expect(signIn({ issuer: `http://localhost:${port}` }).begin('/auth/')).rejects.toThrow(
      IdentitySourceError,
    );
  });
});
