import { createPublicKey, generateKeyPairSync } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { rotateStoredKeys } from '../../shared/auth/tokens/stored-keys.ts';
import { basic } from '../../shared/auth/testing/htpasswd-lines.ts';
import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { startPush, type TestPush } from '../push/testing/start-push.ts';
import { openTestIdentities, type TestIdentities } from './testing/open-test-identities.ts';

const MANIFEST = '/v2/team/app/manifests/v1';
const UPLOADS = '/v2/team/app/blobs/uploads/';
const PULL = 'repository:team/app:pull';
const PUSH = 'repository:team/app:pull,push';
const ALICE = basic('alice', 'wonderland');

interface Told {
  readonly token: string;
  readonly access_token: string;
  readonly expires_in: number;
  readonly issued_at: string;
  readonly refresh_token?: string;
  readonly scope?: string;
}
interface Claims {
  readonly access: readonly { type: string; name: string; actions: string[] }[];
  readonly [claim: string]: unknown;
}

const toldBy = (answer: TestAnswer): Told => JSON.parse(answer.body.toString()) as Told;
const claimsOf = (token: string): Claims => jwt.decode(token) as Claims;

let push: TestPush;
let identities: TestIdentities;
beforeAll(async () => {
  identities = await openTestIdentities({ isPullPublic: true });
  push = await startPush(identities);
});
afterAll(async () => {
  await push.close();
  await identities.close();
});

const ask = (target: string, authorization?: string, method = 'GET'): Promise<TestAnswer> =>
  push.send(target, { method, headers: authorization === undefined ? {} : { authorization } });
const getToken = (query: string, authorization?: string): Promise<TestAnswer> =>
  ask(`/auth/token?service=twinport&${query}`, authorization);
const postToken = (form: Record<string, string>): Promise<TestAnswer> =>
  push.send('/auth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
  });
const bearer = async (query: string, authorization?: string): Promise<string> =>
  `Bearer ${toldBy(await getToken(query, authorization)).token}`;

describe('a challenge', () => {
  const realm = (): string => `Bearer realm="http://127.0.0.1:${push.port}/auth/token"`;

  test.each([
    ['GET', '/v2/', ''],
    ['GET', '/v2/_catalog', ',scope="registry:catalog:*"'],
    ['POST', UPLOADS, ',scope="repository:team/app:pull,push"'],
    ['PUT', MANIFEST, ',scope="repository:team/app:pull,push"'],
    ['DELETE', MANIFEST, ',scope="repository:team/app:delete"'],
  ])('to %s %s says what token is needed', async (method, target, scope) => {
    const { headers, status } = await ask(target, undefined, method);
    expect(status).toBe(401);
    const host = `127.0.0.1:${push.port}`;
    const told = headers['www-authenticate']?.replace(`localhost:${push.port}`, host);
    expect(told).toBe(`${realm()},service="twinport"${scope}`);
  });

  test('to a token that is not enough says so, in the words that docker shows', async () => {
    const answer = await ask(UPLOADS, await bearer(`scope=${PULL}`, ALICE), 'POST');
    expect([answer.status, errorCode(answer)]).toEqual([401, 'DENIED']);
    expect(answer.body.toString()).toContain('requested access to the resource is denied');
    expect(answer.headers['www-authenticate']).toContain(
      'scope="repository:team/app:pull,push",error="insufficient_scope"',
    );
    const nobody = await ask(UPLOADS, await bearer(`scope=${PUSH}`), 'POST');
    expect([nobody.status, errorCode(nobody)]).toEqual([401, 'UNAUTHORIZED']);
  });
});

describe('the token service', () => {
  test('gives everybody a token for what is public, and a smaller one than he asked for', async () => {
    const told = toldBy(await getToken(`scope=${PUSH}`));
    expect(told).toEqual({
      token: told.access_token,
      access_token: expect.any(String),
      expires_in: 300,
      issued_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
    expect(claimsOf(told.token)).toMatchObject({
      iss: 'twinport',
      aud: 'twinport',
      sub: '',
      access: [{ type: 'repository', name: 'team/app', actions: ['pull'] }],
    });
    const authorization = `Bearer ${told.token}`;
    expect((await ask(MANIFEST, authorization)).status).toBe(404);
    expect((await ask('/v2/', authorization)).status).toBe(200);
    expect((await ask('/v2/other/app/manifests/v1', authorization)).status).toBe(401);
  });

  test('gives whoever is signed in what he asks for: several scopes, repeated or in one', async () => {
    const query = `scope=${PULL}&scope=repository:a/b:* repository:team/app:push registry:catalog:* nonsense x:y:pull`;
    const { token } = toldBy(await getToken(encodeURI(query), ALICE));
    expect(claimsOf(token)).toMatchObject({
      sub: 'alice',
      access: [
        { type: 'repository', name: 'team/app', actions: ['pull', 'push'] },
        { type: 'repository', name: 'a/b', actions: ['pull', 'push', 'delete'] },
        { type: 'registry', name: 'catalog', actions: ['*'] },
      ],
      identity: { id: 'htpasswd:alice' },
    });
    expect((await ask(UPLOADS, `Bearer ${token}`, 'POST')).status).toBe(202);
    expect((await ask('/v2/_catalog', `Bearer ${token}`)).status).toBe(200);
    expect((await ask(MANIFEST, `Bearer ${token}`, 'DELETE')).status).toBe(401);
  });

  test('looks few names up for nobody in particular', async () => {
    const scopes = Array.from({ length: 100 }, (_, index) => `repository:team/app-${index}:*`);
    const query = `scope=${scopes.join(' ')}`;
    const { access } = claimsOf(toldBy(await getToken(encodeURI(query))).token);
    expect(access).toHaveLength(10);
    expect(access).toContainEqual({ type: 'repository', name: 'team/app-0', actions: ['pull'] });
    const told = toldBy(await getToken(encodeURI(query), ALICE));
    expect(claimsOf(told.token).access).toHaveLength(100);
  });

  test('refuses credentials that are not right, all alike, and tokens for others', async () => {
    const wrong = [
      await getToken(`scope=${PULL}`, basic('alice', 'looking-glass')),
      await getToken(`scope=${PULL}`, basic('mallory', 'x')),
      await getToken('', 'Basic x'),
      await postToken({ grant_type: 'password', username: 'alice', password: 'x' }),
      await postToken({ grant_type: 'refresh_token', refresh_token: 'x' }),
    ];
    for (const answer of wrong) {
      expect([answer.status, errorCode(answer)]).toEqual([401, 'UNAUTHORIZED']);
      expect(answer.headers['www-authenticate']).toBe('Basic realm="Twinport",charset="UTF-8"');
      expect(answer.body).toEqual(wrong[0]?.body);
      // Docker shows this at a login, and without it nothing but the code.
      expect(answer.body.toString()).toContain('"incorrect username or password"');
    }
    expect((await ask('/auth/token?service=other', ALICE)).status).toBe(400);
    expect((await postToken({ grant_type: 'magic' })).status).toBe(400);
    expect((await ask('/auth/token', undefined, 'PUT')).status).toBe(405);
  });

  test('takes a form, and gives a token that stands in for the password until that changes', async () => {
    const login = await postToken({
      grant_type: 'password',
      username: 'alice',
      password: 'wonderland',
      service: 'twinport',
      client_id: 'docker',
      access_type: 'offline',
      scope: PUSH,
    });
    const told = toldBy(login);
    expect(told.scope).toBe(PUSH);
    const refresh = told.refresh_token ?? '';
    const again = await postToken({
      grant_type: 'refresh_token',
      refresh_token: refresh,
      service: 'twinport',
      scope: PUSH,
    });
    expect(again.status).toBe(200);
    expect(claimsOf(toldBy(again).token)['sub']).toBe('alice');
    expect(toldBy(await getToken('offline_token=true')).refresh_token).toBeUndefined();
    const altered = `${refresh.slice(0, -2)}${refresh.endsWith('AA') ? 'BB' : 'AA'}`;
    const refused = await postToken({ grant_type: 'refresh_token', refresh_token: altered });
    expect(refused.status).toBe(401);
    // The secret itself is kept nowhere.
    const [, id = '', secret = ''] = refresh.split(/^twp_([0-9a-f]+)_/);
    const { signal } = new AbortController();
    const key = `twinport/v1/refresh-tokens/${id.slice(0, 32)}/${id.slice(32)}.json`;
    const kept = await identities.records.get(key, signal);
    expect(kept?.toString()).toContain('htpasswd:alice');
    expect(kept?.toString()).not.toContain(secret);
  });

  test('publishes its keys, and those that were retired as long as their tokens live', async () => {
    const before = await bearer(`scope=${PULL}`, ALICE);
    const { signal } = new AbortController();
    const hasty = { ...systemClock, sleep: () => Promise.resolve() };
    await rotateStoredKeys(identities.records, hasty, signal);
    expect((await ask(MANIFEST, before)).status).toBe(404);
    const kept = await identities.records.list('twinport/v1/keys', {}, signal);
    expect(kept).toHaveLength(2);
    const { keys } = JSON.parse((await ask('/auth/jwks.json')).body.toString()) as {
      keys: readonly Record<string, unknown>[];
    };
    expect(keys[0]).toMatchObject({ kty: 'EC', crv: 'P-256', use: 'sig', alg: 'ES256' });
    expect(keys.some((key) => 'd' in key)).toBe(false);
  });
});

describe('a token that is not ours', () => {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  /** In seconds from now. */
  const at = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
  const claims = (): Record<string, unknown> => ({
    iss: 'twinport',
    sub: 'mallory',
    aud: 'twinport',
    exp: at(300),
    nbf: at(0),
    iat: at(0),
    jti: 'x',
    access: [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }],
  });

  /** Signs with the registry's own key unless another one is given. */
  async function sign(
    change: Record<string, unknown>,
    header: Record<string, unknown> = {},
    key?: jwt.Secret,
  ): Promise<string> {
    const signing = await identities.tokens!.keys.signing();
    // Without what is undefined.
    const payload = JSON.parse(JSON.stringify({ ...claims(), ...change })) as object;
    return jwt.sign(payload, key ?? signing.privateKey, {
      algorithm: 'ES256',
      // Which takes a time that stands there away.
      noTimestamp: 'iat' in change,
      header: { alg: 'ES256', kid: signing.kid, ...header },
    });
  }
  const statusOf = async (token: string): Promise<number> =>
    (await ask(MANIFEST, `Bearer ${token}`)).status;

  test('is told from one that is', async () => {
    expect(await statusOf(await sign({}))).toBe(404);
  });

  test('is one with our key id and what the library stumbles over', async () => {
    const [head = '', body = '', seal = ''] = (await sign({})).split('.');
    const plain = (text: string): string => Buffer.from(text).toString('base64url');
    for (const token of [
      `${head}.${plain('nonsense')}.${seal}`,
      `${head}.${plain('null')}.${seal}`,
      `${head}.${body}.AAAA`,
      `${head}.${body}.${seal}AAAA`,
      `${head}.${body}.${'A'.repeat(seal.length)}`,
    ]) {
      expect(await statusOf(token)).toBe(401);
    }
  });

  test('is one that shall be good for longer than any of ours', async () => {
    expect(await statusOf(await sign({ exp: at(3_600) }))).toBe(404);
    expect(await statusOf(await sign({ exp: at(3_700) }))).toBe(401);
  });

  test.each(['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64'])(
    'is one whose header has %s, whoever signed it',
    async (name) => {
      const jwk = own.publicKey.export({ format: 'jwk' });
      const value = { jwk, x5c: ['x'], crit: ['b64'], b64: true }[name] ?? 'https://evil.example/';
      expect(await statusOf(await sign({}, { [name]: value }))).toBe(401);
      expect(await statusOf(await sign({}, { [name]: value }, own.privateKey))).toBe(401);
    },
  );

  test('is one of another key, or of another algorithm', async () => {
    expect(await statusOf(await sign({}, {}, own.privateKey))).toBe(401);
    expect(await statusOf(await sign({}, { kid: 'other' }))).toBe(401);
    const { kid, privateKey } = await identities.tokens!.keys.signing();
    const pem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' });
    const hmac = jwt.sign(claims(), pem, { algorithm: 'HS256', keyid: kid, noTimestamp: true });
    expect(await statusOf(hmac)).toBe(401);
    const [, payload = ''] = hmac.split('.');
    for (const alg of ['none', 'None', 'NONE', 'RS256']) {
      const header = Buffer.from(JSON.stringify({ alg, kid })).toString('base64url');
      expect(await statusOf(`${header}.${payload}.`)).toBe(401);
      expect(await statusOf(`${header}.${payload}.AA`)).toBe(401);
    }
  });

  test.each<[string, () => Record<string, unknown>]>([
    ['another issuer', () => ({ iss: 'other' })],
    ['the mirror as audience', () => ({ aud: 'twinport-mirror' })],
    ['a list as audience', () => ({ aud: ['twinport', 'other'] })],
    ['a list of ours alone', () => ({ aud: ['twinport'] })],
    ['no audience', () => ({ aud: undefined })],
    ['an empty audience', () => ({ aud: '' })],
    ['no time of issue', () => ({ iat: undefined })],
    ['no end', () => ({ exp: undefined })],
    ['no beginning', () => ({ nbf: undefined })],
    ['no id', () => ({ jti: undefined })],
    ['no subject', () => ({ sub: undefined })],
    ['an end beyond the leeway', () => ({ exp: at(-62) })],
    ['a beginning beyond the leeway', () => ({ nbf: at(70) })],
    ['rights that are none', () => ({ access: 'all' })],
  ])('is one with %s', async (_what, change) => {
    expect(await statusOf(await sign(change()))).toBe(401);
  });

  test('may be off by the leeway of a minute', async () => {
    expect(await statusOf(await sign({ exp: at(-50) }))).toBe(404);
    expect(await statusOf(await sign({ nbf: at(50) }))).toBe(404);
  });

  test.each([
    ['dots', '.'.repeat(16_000)],
    ['deep base64', `${'A'.repeat(5_000)}.${'B'.repeat(5_000)}.${'C'.repeat(5_000)}`],
    ['a JWE', 'e30.AA.AA.AA.AA'],
    ['a header that is no object', `${Buffer.from('[]').toString('base64url')}.AA.AA`],
    ['JSON with two signatures', Buffer.from('{"signatures":[{},{}]}').toString('base64url')],
  ])('is refused without cryptography where it is %s', async (_what, token) => {
    expect(await statusOf(token)).toBe(401);
  });
});
