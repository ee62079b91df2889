import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { basic, htpasswdLines } from '../shared/auth/testing/htpasswd-lines.ts';
import type { HtpasswdConfig } from '../shared/config/auth-config.ts';
import { errorCode, type TestAnswer } from '../shared/http/testing/http-client.ts';
import { RecordedEdge } from '../shared/http/testing/recorded-edge.ts';
import { systemClock } from '../shared/lifecycle/clock.ts';
import { openIdentities, type OpenIdentities } from './open-identities.ts';
import { startPush, type TestPush } from './push/testing/start-push.ts';

const MANIFEST = '/v2/team/app/manifests/v1';
const UPLOADS = '/v2/team/app/blobs/uploads/';
const ALICE = basic('alice', 'wonderland');
const end = new AbortController();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'twinport-identities-'));
  await writeFile(path.join(folder, 'users'), await htpasswdLines({ alice: 'wonderland' }));
});
afterAll(async () => {
  end.abort();
  await rm(folder, { recursive: true });
});

function open(config: Partial<HtpasswdConfig> = {}): Promise<OpenIdentities> {
  const auth: HtpasswdConfig = {
    mode: 'htpasswd',
    htpasswdFile: path.join(folder, 'users'),
    isPullPublic: false,
    trustedProxies: [],
    allowsInsecure: false,
    basicRealm: 'Twinport',
    ...config,
  };
  const { log } = new RecordedEdge();
  return openIdentities(auth, { clock: systemClock, log, lifetime: end.signal });
}

const told = ({ status, headers, body }: TestAnswer): unknown => [
  status,
  headers['www-authenticate'],
  body.toString(),
];

describe('a registry with an htpasswd file', () => {
  let push: TestPush;
  const ask = (target: string, authorization?: string, method = 'GET'): Promise<TestAnswer> =>
    push.send(target, { method, headers: authorization === undefined ? {} : { authorization } });

  beforeAll(async () => {
    push = await startPush(await open());
  });
  afterAll(() => push.close());

  test('asks everybody for a password, before it looks anything up', async () => {
    for (const [method, target] of [
      ['GET', '/v2/'],
      ['GET', '/v2/_catalog'],
      ['GET', MANIFEST],
      ['HEAD', MANIFEST],
      ['GET', '/v2/team/app/tags/list'],
      ['POST', UPLOADS],
      ['DELETE', MANIFEST],
    ] as const) {
      const answer = await ask(target, undefined, method);
      expect([target, answer.status]).toEqual([target, 401]);
      expect(answer.headers['www-authenticate']).toBe('Basic realm="Twinport",charset="UTF-8"');
      if (method !== 'HEAD') expect(errorCode(answer)).toBe('UNAUTHORIZED');
    }
  });

  test('lets whoever is signed in do everything', async () => {
    expect((await ask('/v2/', ALICE)).status).toBe(200);
    expect((await ask(UPLOADS, ALICE, 'POST')).status).toBe(202);
    expect((await ask(MANIFEST, ALICE)).status).toBe(404);
    expect((await ask(MANIFEST, ALICE, 'DELETE')).status).toBe(404);
    expect((await ask('/v2/_catalog', ALICE)).status).toBe(200);
  });

  test('answers wrong credentials of every kind alike', async () => {
    const answers = await Promise.all(
      [
        basic('alice', 'looking-glass'),
        basic('mallory', 'wonderland'),
        basic('alice', ''),
        'Basic not-base64',
        'Bearer a.b.c',
        'Digest x',
      ].map((authorization) => ask(MANIFEST, authorization)),
    );
    expect(answers[0]?.status).toBe(401);
    for (const answer of answers) expect(told(answer)).toEqual(told(answers[0]!));
    const two = await push.send('/v2/', { headers: { authorization: [ALICE, ALICE] } });
    expect(two.status).toBe(400);
  });
});

test('everybody pulls where that is public, and nobody else pushes, deletes or lists', async () => {
  const push = await startPush(await open({ isPullPublic: true }));
  try {
    expect((await push.send(MANIFEST)).status).toBe(404);
    for (const [method, target] of [
      ['POST', UPLOADS],
      ['DELETE', MANIFEST],
      ['PUT', MANIFEST],
      ['GET', '/v2/_catalog'],
      ['GET', '/v2/'],
    ] as const) {
      expect((await push.send(target, { method })).status).toBe(401);
    }
  } finally {
    await push.close();
  }
});

test('a password that came over plain HTTP through a proxy is refused in words', async () => {
  const push = await startPush(await open({ trustedProxies: ['127.0.0.1'] }));
  try {
    const headers = { authorization: ALICE, 'x-forwarded-for': '192.0.2.1' };
    const plain = await push.send('/v2/', { headers: { ...headers, 'x-forwarded-proto': 'http' } });
    expect([plain.status, errorCode(plain)]).toEqual([403, 'DENIED']);
    expect(plain.body.toString()).toContain('passwords are not taken over plain HTTP');
    const safe = await push.send('/v2/', { headers: { ...headers, 'x-forwarded-proto': 'https' } });
    expect(safe.status).toBe(200);
  } finally {
    await push.close();
  }
});
