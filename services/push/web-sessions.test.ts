import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { TestAnswer } from '../../shared/http/testing/http-client.ts';
import { registryError } from '../../shared/oci/errors.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import {
  type ManagedPush,
  PAGES,
  PASSWORD,
  startManagedPush,
} from './testing/start-managed-push.ts';

const CAROL = {
  kind: 'user',
  id: 'oidc:https://login.example#c1',
  name: 'carol',
  groups: ['oidc:staff'],
  isAdmin: false,
} as const;
const SESSION = '__Host-twinport-session';
const OWN_PAGE = { origin: PAGES, 'sec-fetch-site': 'same-origin' };

let push: ManagedPush;

beforeAll(async () => {
  push = await startManagedPush({
    begin: (returnTo) =>
      Promise.resolve({
        url: `https://login.example/authorize?returnTo=${returnTo ?? ''}`,
        sealedState: 'sealed',
      }),
    finish: (query, sealedState) =>
      query === 'code=right' && sealedState === 'sealed'
        ? Promise.resolve({ identity: CAROL, returnTo: '/auth/' })
        : Promise.reject(registryError('UNAUTHORIZED')),
  });
});
afterAll(() => push.close());

const cookieOf = (answer: TestAnswer, name = SESSION): string => {
  const line = answer.headers['set-cookie']?.find((cookie) => cookie.startsWith(`${name}=`));
  return line?.split(';', 1)[0] ?? '';
};
const signIn = (
  headers: Record<string, string> = OWN_PAGE,
  credentials: unknown = { username: 'alice', password: PASSWORD },
): Promise<TestAnswer> =>
  push.send('/api/v1/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(credentials),
  });
const formTokenOf = ({ body }: TestAnswer): string =>
  (JSON.parse(body.toString()) as { formToken: string }).formToken;
const account = async (cookie: string): Promise<number> =>
  (await push.send('/api/v1/account', { headers: { cookie } })).status;
const form = (
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string>,
): Promise<TestAnswer> =>
  push.send(path, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(fields).toString(),
  });

describe('a session', () => {
  test('does not begin by a password that was changed elsewhere, although it was right just before', async () => {
    const frida = { username: 'frida', password: PASSWORD };
    await push.users.add(
      { name: 'frida', password: PASSWORD, isAdmin: false, mustChange: false },
      unending,
    );
    expect((await signIn(OWN_PAGE, frida)).status).toBe(201);
    await push.users.setPassword('frida', 'another password', { mustChange: false }, unending);
    expect((await signIn(OWN_PAGE, frida)).status).toBe(401);
  });

  test('begins with a cookie of this host alone, and is another one each time', async () => {
    const first = await signIn();
    expect(first.status).toBe(201);
    expect(first.headers['set-cookie']?.[0]).toMatch(
      /^__Host-twinport-session=[A-Za-z0-9_-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
    );
    expect(first.headers['cache-control']).toBe('no-store');
    expect(await account(cookieOf(first))).toBe(200);
    const second = await signIn({ ...OWN_PAGE, cookie: cookieOf(first) });
    expect(cookieOf(second)).not.toBe(cookieOf(first));
    expect(await account(cookieOf(first))).toBe(401);
    expect(await account(cookieOf(second))).toBe(200);
  });

  test('is not begun by a token that somebody else has put there', async () => {
    const planted = `${SESSION}=${'a'.repeat(43)}`;
    const answer = await signIn({ ...OWN_PAGE, cookie: planted });
    expect(cookieOf(answer)).not.toBe(planted);
    expect(await account(planted)).toBe(401);
  });

  test('is not begun by pages of others, wrong passwords, robots or passwords of the command line', async () => {
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: PAGES, 'sec-fetch-site': 'cross-site' },
      { origin: PAGES, 'sec-fetch-site': 'same-site' },
    ] as Record<string, string>[]) {
      expect((await signIn(headers)).status).toBe(403);
    }
    const wrong = await signIn(OWN_PAGE, { username: 'alice', password: 'wrong password' });
    expect(wrong.status).toBe(401);
    expect(wrong.headers['set-cookie']).toBeUndefined();
    expect(wrong.headers['www-authenticate']).toBeUndefined();
    const made = await push.call('alice', 'POST', '/api/v1/account/cli-passwords', { label: 'x' });
    const { secret: password } = made.json as { secret: string };
    expect((await signIn(OWN_PAGE, { username: 'alice', password })).status).toBe(401);
  });

  test('never opens the distribution API', async () => {
    const cookie = cookieOf(await signIn());
    for (const [method, path] of [
      ['GET', '/v2/'],
      ['GET', '/v2/team/app/manifests/v1'],
      ['POST', '/v2/team/app/blobs/uploads/'],
      ['DELETE', '/v2/team/app/manifests/v1'],
    ] as const) {
      const answer = await push.send(path, { method, headers: { cookie, ...OWN_PAGE } });
      expect([path, answer.status]).toEqual([path, 401]);
    }
  });

  test('makes changes for pages of this server alone, which know its form token', async () => {
    const begun = await signIn();
    const [cookie, formToken] = [cookieOf(begun), formTokenOf(begun)];
    const create = (name: string, headers: Record<string, string>): Promise<TestAnswer> =>
      push.send('/api/v1/projects', {
        method: 'POST',
        headers: { 'content-type': 'application/json', cookie, ...headers },
        body: JSON.stringify({ name }),
      });
    const right = { ...OWN_PAGE, 'x-twinport-form': formToken };
    for (const wrong of [
      { ...right, origin: 'https://evil.example' },
      { ...right, origin: `${PAGES}.evil.example` },
      { ...right, 'sec-fetch-site': 'same-site' },
      { 'x-twinport-form': formToken },
      OWN_PAGE,
      { ...OWN_PAGE, 'x-twinport-form': 'wrong' },
      { ...OWN_PAGE, 'x-twinport-form': formTokenOf(await signIn()) },
    ]) {
      expect((await create('made', wrong)).status).toBe(403);
    }
    expect((await create('made', right)).status).toBe(201);
    const reading = { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    const read = await push.send('/api/v1/projects', { headers: reading });
    expect(read.status).toBe(200);
    expect(Object.keys(read.headers).join()).not.toContain('access-control');
  });

  test('ends by signing out, by another password and by a lock', async () => {
    const begun = await signIn();
    const cookie = cookieOf(begun);
    const out = await push.send('/api/v1/session', {
      method: 'DELETE',
      headers: { cookie, ...OWN_PAGE, 'x-twinport-form': formTokenOf(begun) },
    });
    expect([out.status, cookieOf(out)]).toEqual([204, `${SESSION}=`]);
    expect(await account(cookie)).toBe(401);
    const bob = { username: 'bob', password: PASSWORD };
    const [one, other] = [await signIn(OWN_PAGE, bob), await signIn(OWN_PAGE, bob)];
    await push.users.setPassword('bob', 'another password', { mustChange: false }, unending);
    for (const session of [one, other]) expect(await account(cookieOf(session))).toBe(401);
    const dave = cookieOf(await signIn(OWN_PAGE, { username: 'dave', password: PASSWORD }));
    await push.users.setDisabled('dave', true, unending);
    expect(await account(dave)).toBe(401);
  });
});

describe('a sign-in at a provider', () => {
  const leave = (): Promise<TestAnswer> => push.send('/auth/oidc/login?returnTo=/auth/');
  const back = (query: string, cookie: string): Promise<TestAnswer> =>
    push.send(`/auth/oidc/callback?${query}`, { headers: { cookie } });

  test('leads there and back, and begins a session', async () => {
    const left = await leave();
    expect([left.status, left.headers.location]).toEqual([
      303,
      'https://login.example/authorize?returnTo=/auth/',
    ]);
    const state = cookieOf(left, '__Host-twinport-sign-in');
    expect(left.headers['set-cookie']?.[0]).toMatch(/; HttpOnly; SameSite=Lax; Secure$/);
    const arrived = await back('code=right', state);
    expect([arrived.status, arrived.headers.location]).toEqual([303, '/auth/']);
    expect(cookieOf(arrived, '__Host-twinport-sign-in')).toBe('__Host-twinport-sign-in=');
    const answer = await push.send('/api/v1/account', { headers: { cookie: cookieOf(arrived) } });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ id: CAROL.id, name: 'carol' });
    expect(push.audited).toContainEqual(
      expect.objectContaining({
        action: 'sign-in',
        result: 'done',
        by: 'oidc',
        actor: { id: CAROL.id, name: 'carol' },
      }),
    );
  });

  test('that comes back without what it left with, or with something else, begins none', async () => {
    for (const [query, cookie] of [
      ['code=right', ''],
      ['code=right', '__Host-twinport-sign-in=other'],
      ['code=right', 'twinport-sign-in=sealed'],
      ['code=wrong', '__Host-twinport-sign-in=sealed'],
      ['error=access_denied', '__Host-twinport-sign-in=sealed'],
    ] as const) {
      const answer = await back(query, cookie);
      expect([query, cookie, answer.status]).toEqual([query, cookie, 401]);
      expect(cookieOf(answer)).toBe('');
    }
  });

  test('lets nobody in whom an administrator has locked out, nor his session', async () => {
    const state = cookieOf(await leave(), '__Host-twinport-sign-in');
    const cookie = cookieOf(await back('code=right', state));
    await push.people.setLocked(CAROL.id, true, unending);
    expect(await account(cookie)).toBe(401);
    const answer = await back('code=right', state);
    expect([answer.status, cookieOf(answer)]).toEqual([403, '']);
    await push.people.setLocked(CAROL.id, false, unending);
    expect(await account(cookie)).toBe(200);
  });
});

describe('the pages', () => {
  test('take no script, nothing of others and no frame, and are kept by nobody', async () => {
    for (const path of ['/auth/', '/auth/page.css', '/auth/oidc/callback']) {
      const { headers } = await push.send(path);
      expect(headers['content-security-policy']).toBe(
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      );
      expect(headers).toMatchObject({
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      });
    }
    const { body } = await push.send('/auth/');
    expect(body.toString()).not.toMatch(/<script|style=|\son[a-z]+=/i);
  });

  test('make and revoke passwords for the command line, whose labels are text', async () => {
    const begun = await form(
      '/auth/sign-in',
      { username: 'alice', password: PASSWORD },
      { ...OWN_PAGE },
    );
    expect([begun.status, begun.headers.location]).toEqual([303, '/auth/']);
    const cookie = cookieOf(begun);
    const show = async (): Promise<string> =>
      (await push.send('/auth/', { headers: { cookie } })).body.toString();
    const formToken = /name="formToken" value="([^"]+)"/.exec(await show())?.[1] ?? '';
    const label = '<img src=x onerror=alert(1)>\u202e';
    const headers = { cookie, ...OWN_PAGE };
    expect((await form('/auth/passwords', { label }, headers)).status).toBe(403);
    const made = await form('/auth/passwords', { label, days: '7', formToken }, headers);
    expect(made.status).toBe(200);
    const secret = /twp_[A-Za-z0-9_-]+/.exec(made.body.toString())?.[0] ?? '';
    push.credentials.set('cli', `alice:${secret}`);
    expect((await push.call('cli', 'GET', '/api/v1/account')).status).toBe(200);
    const page = await show();
    expect(page).toContain('<td>&lt;img src=x onerror=alert(1)&gt;</td>');
    expect(page).not.toContain(secret);
    const ids = [...page.matchAll(/name="id" value="([0-9a-f]{16})"/g)].map(([, id]) => id ?? '');
    for (const id of ids) {
      const revoked = await form('/auth/passwords/revoke', { id, formToken }, headers);
      expect(revoked.status).toBe(303);
    }
    expect(await show()).not.toContain('&lt;img');
    const out = await form('/auth/sign-out', { formToken }, headers);
    expect([out.status, cookieOf(out)]).toEqual([303, `${SESSION}=`]);
  });

  test('change a one-time password, for whoever has it and for pages of this server alone', async () => {
    const user = { name: 'newcomer', password: PASSWORD, isAdmin: false, mustChange: true };
    await push.users.add(user, unending);
    const change = (fields: Record<string, string>, headers: Record<string, string> = OWN_PAGE) =>
      form('/auth/password', { username: 'newcomer', password: PASSWORD, ...fields }, headers);
    const newPassword = 'battery horse correct';
    expect((await push.send('/auth/')).body.toString()).toContain('href="/auth/password"');
    expect((await push.send('/auth/password')).status).toBe(200);
    expect((await change({ newPassword }, { origin: 'https://evil.example' })).status).toBe(403);
    const wrong = await change({ newPassword, username: '"><b>', password: 'another' });
    expect(wrong.status).toBe(401);
    expect(wrong.body.toString()).toContain('value="&quot;&gt;&lt;b&gt;"');
    expect((await change({ newPassword: 'short' })).status).toBe(400);
    const changed = await change({ newPassword });
    expect([changed.status, cookieOf(changed)]).toEqual([200, '']);
    expect((await change({ newPassword })).status).toBe(401);
    const signedIn = await form(
      '/auth/sign-in',
      { username: 'newcomer', password: newPassword },
      OWN_PAGE,
    );
    expect(signedIn.status).toBe(303);
  });

  test('tell people in words what went wrong, and where to go on', async () => {
    const begun = await signIn();
    const headers = { cookie: cookieOf(begun), ...OWN_PAGE };
    const late = await form('/auth/passwords', { label: 'x', formToken: 'x' }, OWN_PAGE);
    expect([late.status, late.headers['content-type']]).toEqual([401, 'text/html; charset=utf-8']);
    expect(late.body.toString()).toContain('You are signed out');
    const wrong = await form('/auth/passwords', { label: '<b>', formToken: 'x' }, headers);
    expect([wrong.status, wrong.headers['content-type']]).toEqual([
      403,
      'text/html; charset=utf-8',
    ]);
    expect(wrong.body.toString()).toMatch(/role="alert"[^<]*a change by a session needs/);
    const formToken = formTokenOf(begun);
    const endless = await form('/auth/passwords', { label: 'x', days: '999', formToken }, headers);
    expect([endless.status, endless.headers['content-type']]).toEqual([
      400,
      'text/html; charset=utf-8',
    ]);
    for (const path of ['/auth', '/auth/sign-in', '/auth/passwords']) {
      const answer = await push.send(path);
      expect([path, answer.status, answer.headers.location]).toEqual([path, 303, '/auth/']);
    }
  });

  test('are asked to sign in by pages of others in vain', async () => {
    const evil = { origin: 'https://evil.example' };
    const fields = { username: 'alice', password: PASSWORD };
    expect((await form('/auth/sign-in', fields, evil)).status).toBe(403);
    const wrong = await form('/auth/sign-in', { ...fields, password: 'wrong' }, OWN_PAGE);
    expect([wrong.status, cookieOf(wrong)]).toEqual([401, '']);
  });
});
