import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { basic } from '../../shared/auth/testing/htpasswd-lines.ts';
import type { ExternalConfig } from '../../shared/config/auth-config.ts';
import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { openExternalTokens } from './open-external-tokens.ts';
import { startPush, type TestPush } from '../push/testing/start-push.ts';

const MANIFEST = '/v2/team/app/manifests/v1';
const UPLOADS = '/v2/team/app/blobs/uploads/';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let folder: string;
let push: TestPush;
const configOf = (more: Partial<ExternalConfig>): ExternalConfig => ({
  mode: 'external',
  realm: 'https://auth.example/auth',
  service: 'registry.example',
  issuer: 'Acme auth server',
  jwks: path.join(folder, 'jwks.json'),
  certificatesFile: path.join(folder, 'keys.pem'),
  algorithms: ['ES256', 'RS256'],
  trustedProxies: [],
  allowsInsecure: false,
  basicRealm: 'Twinport',
  ...more,
});
const open = (more: Partial<ExternalConfig> = {}) =>
  openExternalTokens(configOf(more), { clock: systemClock });

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'twinport-external-'));
  const jwk = { ...ec.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' };
  await writeFile(path.join(folder, 'jwks.json'), JSON.stringify({ keys: [jwk] }));
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  await writeFile(path.join(folder, 'keys.pem'), pem);
  push = await startPush(await open());
});
afterAll(async () => {
  await push.close();
  await rm(folder, { recursive: true });
});

/** In seconds from now. */
const at = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
const claims = (): Record<string, unknown> => ({
  iss: 'Acme auth server',
  sub: 'alice',
  aud: 'registry.example',
  exp: at(300),
  nbf: at(-10),
  iat: at(-10),
  jti: '3141592653',
  access: [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }],
});
/** As docker_auth signs them: with a key id of its own making. */
function sign(
  change: Record<string, unknown> = {},
  { key, header }: { readonly key?: KeyObject; readonly header?: object } = {},
): string {
  const privateKey = key ?? rsa.privateKey;
  const algorithm = privateKey.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256';
  const kid = 'YWOP:RRBM:YKPV:DDCM:RPNT:DYIC:VVWV:RBTK:KSS4:2ZU6:RUPM:ODR7';
  const payload = JSON.parse(JSON.stringify({ ...claims(), ...change })) as object;
  return jwt.sign(payload, privateKey, {
    algorithm,
    noTimestamp: true,
    header: { alg: algorithm, kid, ...header },
  });
}
const ask = (
  target: string,
  authorization?: string,
  { method = 'GET', to = push } = {},
): Promise<TestAnswer> =>
  to.send(target, { method, headers: authorization === undefined ? {} : { authorization } });
const statusOf = async (token: string): Promise<number> =>
  (await ask(MANIFEST, `Bearer ${token}`)).status;

describe('tokens of another issuer', () => {
  test('are asked for at its address, and passwords mean nothing', async () => {
    for (const authorization of [undefined, basic('alice', 'wonderland')]) {
      const answer = await ask(MANIFEST, authorization);
      expect([answer.status, errorCode(answer)]).toEqual([401, 'UNAUTHORIZED']);
      expect(answer.headers['www-authenticate']).toMatch(
        /^Bearer realm="https:\/\/auth.example\/auth",service="registry.example"/,
      );
    }
    expect((await ask('/auth/token')).status).toBe(404);
  });

  test('permit what they say, by a key of a set or of a file', async () => {
    for (const token of [
      sign(),
      sign({}, { key: ec.privateKey, header: { kid: 'one' } }),
      sign({}, { key: ec.privateKey, header: { kid: undefined } }),
      sign({ aud: ['other', 'registry.example'] }),
    ]) {
      expect(await statusOf(token)).toBe(404);
      expect((await ask('/v2/', `Bearer ${token}`)).status).toBe(200);
      expect((await ask(UPLOADS, `Bearer ${token}`, { method: 'POST' })).status).toBe(202);
      const denied = await ask('/v2/other/app/manifests/v1', `Bearer ${token}`);
      expect([denied.status, errorCode(denied)]).toEqual([401, 'DENIED']);
      expect((await ask(MANIFEST, `Bearer ${token}`, { method: 'DELETE' })).status).toBe(401);
    }
    const nobody = await ask(UPLOADS, `Bearer ${sign({ sub: '', access: [] })}`, {
      method: 'POST',
    });
    expect([nobody.status, errorCode(nobody)]).toEqual([401, 'UNAUTHORIZED']);
  });

  test.each<[string, () => string]>([
    ['another issuer', () => sign({ iss: 'somebody' })],
    ['another audience', () => sign({ aud: 'registry.example-mirror' })],
    ['no audience', () => sign({ aud: undefined })],
    ['no end', () => sign({ exp: undefined })],
    ['an end beyond the leeway', () => sign({ exp: at(-62) })],
    ['a beginning beyond the leeway', () => sign({ nbf: at(70) })],
    ['another key', () => sign({}, { key: stranger.privateKey })],
    [
      'another key under a known id',
      () => sign({}, { key: stranger.privateKey, header: { kid: 'one' } }),
    ],
    ['a place of keys in its header', () => sign({}, { header: { jku: 'https://evil.example' } })],
    ['a certificate in its header', () => sign({}, { header: { x5c: ['MIIB'] } })],
    ['rights that are none', () => sign({ access: 'all' })],
    [
      'a signature by the public key as a secret',
      () =>
        jwt.sign(claims(), rsa.publicKey.export({ type: 'spki', format: 'pem' }), {
          algorithm: 'HS256',
          noTimestamp: true,
        }),
    ],
    [
      'no signature',
      () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${sign().split('.')[1] ?? ''}.`,
    ],
  ])('are refused with %s', async (_what, make) => {
    const answer = await ask(MANIFEST, `Bearer ${make()}`);
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
  });

  test('cannot be told from others while their keys cannot be fetched', async () => {
    const away = await startPush(
      await open({ jwks: 'http://127.0.0.1:1/jwks.json', certificatesFile: undefined }),
    );
    try {
      const answer = await ask(MANIFEST, `Bearer ${sign()}`, { to: away });
      expect([answer.status, errorCode(answer)]).toEqual([503, 'UNAVAILABLE']);
    } finally {
      await away.close();
    }
  });

  test('are not begun to be believed by keys that are no public ones', async () => {
    const file = path.join(folder, 'wrong');
    const secret = JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA' }] });
    for (const text of ['nonsense', '{}', '{"keys":[]}', secret]) {
      await writeFile(file, text);
      await expect(open({ jwks: file })).rejects.toThrow(/^AUTH_EXTERNAL_JWKS \(.*\): it /);
    }
    await expect(open({ certificatesFile: file })).rejects.toThrow(/no certificate/);
    await expect(open({ certificatesFile: `${file}er` })).rejects.toThrow(/AUTH_EXTERNAL_CERT/);
  });
});
