import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { basic } from '../../shared/auth/testing/htpasswd-lines.ts';
import type { HtpasswdConfig } from '../../shared/config/auth-config.ts';
import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import type { AuditEvent, AuditLog } from '../../shared/observability/audit-log.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { startPush, type TestPush } from '../push/testing/start-push.ts';
import { openTestIdentities } from './testing/open-test-identities.ts';

const MANIFEST = '/v2/team/app/manifests/v1';
const UPLOADS = '/v2/team/app/blobs/uploads/';
const ALICE = basic('alice', 'wonderland');
const events: AuditEvent[] = [];
const audit: AuditLog = { record: (event) => void events.push(event) };

/** A push service that people sign in to; closes all that it opened. */
async function start(
  config: Partial<HtpasswdConfig> = {},
  options: { audit?: AuditLog; clock?: Clock } = {},
): Promise<TestPush> {
  const identities = await openTestIdentities(config, options);
  const push = await startPush({ ...identities, audit: options.audit });
  return {
    ...push,
    close: async () => {
      await push.close();
      await identities.close();
    },
  };
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
    push = await start();
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
  const push = await start({ isPullPublic: true });
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
  const push = await start({ trustedProxies: ['127.0.0.1'] });
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

describe('behind a proxy that is trusted', () => {
  let push: TestPush;
  const ask = (target: string, authorization: string, from: string, method = 'GET') =>
    push.send(target, {
      method,
      headers: { authorization, 'x-forwarded-for': from, 'x-forwarded-proto': 'https' },
    });

  beforeAll(async () => {
    // Time stands still: a wait is over for nobody who is slow.
    const clock = new ManualClock();
    push = await start({ trustedProxies: ['127.0.0.1'] }, { audit, clock });
  });
  beforeEach(() => {
    events.length = 0;
  });
  afterAll(() => push.close());

  test('who guesses passwords waits, and the right one works from elsewhere all the time', async () => {
    const statuses: number[] = [];
    for (let guess = 0; guess < 8; guess += 1) {
      statuses.push((await ask('/v2/', basic('alice', `guess ${guess}`), '192.0.2.66')).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429, 429]);
    const late = await ask('/v2/', ALICE, '192.0.2.66');
    expect([late.status, errorCode(late)]).toEqual([429, 'TOOMANYREQUESTS']);
    expect(Number(late.headers['retry-after'])).toBeGreaterThan(0);
    expect((await ask('/v2/', ALICE, '192.0.2.7')).status).toBe(200);
    // Nor does it help that somebody signed in rightly a moment ago, there or behind the same address.
    expect((await ask('/v2/', ALICE, '192.0.2.66')).status).toBe(429);
    for (let guess = 0; guess < 7; guess += 1) {
      await ask('/v2/', basic('alice', `guess ${guess}`), '192.0.2.7');
    }
    expect((await ask('/v2/', ALICE, '192.0.2.7')).status).toBe(429);
  });

  test('it is put down who signed in, who tried to, and who changed what, from where', async () => {
    const from = '198.51.100.8';
    const actor = { id: 'htpasswd:alice', name: 'alice' };
    await ask('/v2/', ALICE, from);
    await ask('/v2/', basic('alice', 'secret-guess'), from);
    await ask('/v2/', basic('typed-a-password-here', 'x'), from);
    await ask(MANIFEST, ALICE, from, 'DELETE');
    await push.send(MANIFEST, { method: 'DELETE' });
    expect(events).toEqual([
      { action: 'sign-in', result: 'done', actor, address: from },
      {
        ...{ action: 'sign-in', result: 'denied', claimedName: 'alice' },
        ...{ address: from, status: 401 },
      },
      { action: 'sign-in', result: 'denied', address: from, status: 401 },
      // The wrong password has ended what was believed.
      { action: 'sign-in', result: 'done', actor, address: from },
      {
        ...{ action: 'delete-tag', result: 'failed', actor, address: from },
        ...{ repository: 'team/app', reference: 'v1', status: 404 },
      },
    ]);
    expect(JSON.stringify(events)).not.toMatch(/secret-guess|typed-a-password|wonderland/);
  });

  test('a push is put down with the digest that it stored', async () => {
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [],
    });
    const { status, headers } = await push.send(MANIFEST, {
      method: 'PUT',
      body: manifest,
      headers: {
        ...{
          authorization: ALICE,
          'x-forwarded-for': '198.51.100.4',
          'x-forwarded-proto': 'https',
        },
        'content-type': 'application/vnd.oci.image.index.v1+json',
      },
    });
    expect(status).toBe(201);
    expect(events.at(-1)).toEqual({
      ...{ action: 'push', result: 'done', status: 201, address: '198.51.100.4' },
      actor: { id: 'htpasswd:alice', name: 'alice' },
      ...{ repository: 'team/app', reference: 'v1' },
      digest: headers['docker-content-digest'],
    });
  });
});
