import { expect } from '@jest/globals';

import type { TestAnswer, TestRequest } from '../../../shared/http/testing/http-client.ts';
import type { OidcProvider } from '../../support/start-oidc-provider.ts';
import type { Canaries } from './canaries.ts';
import { as, type Conversation, form, json } from './conversation.ts';

/** Somebody signs in with a browser, by a password and at the provider, and makes a password for the command line. */
export async function visitPages(
  talk: Conversation,
  canaries: Canaries,
  { origin, provider, root }: { origin: string; provider: OidcProvider; root: string },
): Promise<void> {
  const fromPage = (request: TestRequest, cookie = ''): TestRequest => ({
    ...request,
    headers: { ...request.headers, origin, 'sec-fetch-site': 'same-origin', cookie },
  });
  const begun = (answer: TestAnswer, what: string): string => {
    const [pair = ''] = (answer.headers['set-cookie'] ?? []).filter((line) => !line.includes('=;'));
    const [cookie = ''] = pair.split(';', 1);
    canaries.note(what, cookie.slice(cookie.indexOf('=') + 1));
    return cookie;
  };

  const [username = '', password = ''] = Buffer.from(root.slice(6), 'base64').toString().split(':');
  const signIn = fromPage(json('POST', { username, password }));
  const entered = await talk.receive('push', '/api/v1/session', signIn);
  expect(entered.status).toBe(201);
  const cookie = begun(entered, 'a session');
  const { formToken } = JSON.parse(entered.body.toString()) as { formToken: string };
  canaries.note('the token of a form', formToken);
  const visit = (target: string, request: TestRequest = {}): Promise<TestAnswer> =>
    talk.ask('push', target, fromPage(request, cookie));

  await visit('/api/v1/account');
  await visit('/v2/');
  await visit('/v2/team/app/tags/list');
  await visit('/auth/passwords', form({ label: 'x', formToken: canaries.make('a false one') }));
  const made = await talk.receive(
    'push',
    '/auth/passwords',
    fromPage(form({ label: 'phone', days: '1', formToken }), cookie),
  );
  const [secret = ''] = /twp_[\w-]+/.exec(made.body.toString()) ?? [];
  canaries.note('a password of a page', secret.slice(-43));
  expect((await talk.ask('push', '/v2/', as(canaries.basic('root', secret)))).status).toBe(200);

  const left = await talk.receive('push', '/auth/oidc/login');
  const state = begun(left, 'the sealed state of a sign-in');
  const back = await provider.visit(left.headers.location ?? '');
  canaries.note('the code of a sign-in', back.searchParams.get('code') ?? '');
  const arrived = await talk.receive('push', back.pathname + back.search, {
    headers: { cookie: state },
  });
  expect([arrived.status, arrived.headers.location]).toEqual([303, '/auth/']);
  const atProvider = begun(arrived, 'a session of somebody of the provider');
  await talk.ask('push', '/api/v1/account', fromPage({}, atProvider));
  // Once more, and with what is wrong.
  await talk.ask('push', back.pathname + back.search, { headers: { cookie: state } });
  back.searchParams.set('code', canaries.make('a code that is none'));
  await talk.ask('push', back.pathname + back.search, { headers: { cookie: state } });

  const out = { method: 'DELETE', headers: { 'x-twinport-form': formToken } };
  expect((await visit('/api/v1/session', out)).status).toBe(204);
  await visit('/api/v1/account');
  const mistyped = { username, password: canaries.make('a password mistyped at a page') };
  await talk.ask('push', '/api/v1/session', fromPage(json('POST', mistyped)));
  await talk.ask('push', '/auth/sign-in', fromPage(form(mistyped)));
}
