import { expect } from '@jest/globals';

import { hashSecret } from '../../../shared/auth/random-secret.ts';
import type { TestAnswer } from '../../../shared/http/testing/http-client.ts';
import type { Canaries } from './canaries.ts';
import { as, type Conversation, json } from './conversation.ts';

const made = ({ status, body }: TestAnswer): string => {
  expect([status, body.toString()]).toEqual([expect.any(Number), expect.stringContaining('twp_')]);
  return (JSON.parse(body.toString()) as { secret: string }).secret;
};

/** What the management API made: a password for the command line, and what is kept of the secrets of robots. */
export interface Managed {
  readonly cliPassword: string;
  readonly kept: readonly string[];
}

/**
 * Accounts, robots, passwords and a cache of the upstream `lender` are made, changed and listed by an administrator, and some
 * of it wrongly.
 */
export async function manage(
  talk: Conversation,
  canaries: Canaries,
  { root, lender }: { readonly root: string; readonly lender: string },
): Promise<Managed> {
  const change = (method: string, path: string, body: unknown) =>
    [`/api/v1/${path}`, as(root, json(method, body))] as const;
  const ask = (...[target, request]: ReturnType<typeof change>): Promise<TestAnswer> =>
    talk.ask('push', target, request);
  const receive = async (...[target, request]: ReturnType<typeof change>): Promise<string> =>
    made(await talk.receive('push', target, request));

  const [password, newPassword] = [canaries.make('dora'), canaries.make('dora, changed')];
  const dora = { name: 'dora', password, mustChange: false };
  expect((await ask(...change('POST', 'users', dora))).status).toBe(201);
  const changed = { username: 'dora', password, newPassword };
  expect((await ask(...change('POST', 'account/password', changed))).status).toBe(204);

  // The account of the mirror for this address is the project's from now on.
  const lent = { name: 'lent', upstream: lender, passThrough: true };
  expect((await ask(...change('POST', 'projects', lent))).status).toBe(201);

  const robot = { name: 'api', actions: ['pull', 'push'] };
  const first = await receive(...change('POST', 'projects/team/robots', robot));
  const second = await receive(...change('POST', 'projects/team/robots/api/secret', undefined));
  const label = { label: 'laptop' };
  const cliPassword = await receive(...change('POST', 'account/cli-passwords', label));
  canaries.note('a secret that was replaced', first.slice(-43));
  canaries.note('the secret of a robot', second.slice(-43));
  canaries.note('a password for the command line', cliPassword.slice(-43));
  for (const path of [
    ...['users', 'users/dora', 'people', 'projects', 'projects/lent', 'projects/team/members'],
    ...['projects/team/robots', 'account', 'account/cli-passwords', 'openapi.json', 'health'],
  ]) {
    await talk.ask('push', `/api/v1/${path}`, as(root));
  }
  await manageWrongly(talk, canaries, root);
  return { cliPassword, kept: [hashSecret(second), hashSecret(cliPassword)] };
}

async function manageWrongly(talk: Conversation, canaries: Canaries, root: string): Promise<void> {
  const wrong = (what: string): string => canaries.make(what);
  const account = wrong('an account in the address of a cache');
  const bodies: readonly (readonly [string, unknown])[] = [
    // Projects that cache a registry take no account, however it is put.
    ['projects', { name: 'cache', upstream: `https://reader:${account}@registry.example` }],
    ['projects', { name: 'cache', upstream: `https://registry.example/?token=${account}` }],
    ['projects', { name: 'cache', upstream: 'https://x.example', password: wrong('a field') }],
    ['projects', { name: 'cache', upstream: { url: 'https://x.example', token: wrong('deep') } }],
    ['users', { name: 'dora', password: wrong('of a user who is there') }],
    ['users', { name: 'emil', password: wrong('too long').repeat(3) }],
    ['users', { name: 'emil', password: wrong('under another name'), secret: wrong('beside') }],
    ['account/password', { username: 'dora', password: wrong('the old one'), newPassword: 'x' }],
    [
      'account/password',
      { username: 'root', password: wrong('mistyped'), newPassword: wrong('never taken') },
    ],
  ];
  for (const [path, body] of bodies) {
    const answer = await talk.ask('push', `/api/v1/${path}`, as(root, json('POST', body)));
    expect([path, answer.status >= 400 && answer.status < 500]).toEqual([path, true]);
  }
  const broken = `{"username":"root","password":"${wrong('in broken JSON')}`;
  await talk.ask('push', '/api/v1/account/password', { ...json('POST', undefined), body: broken });
  await talk.ask('mirror', '/api/v1/users', as(root, json('POST', { password: wrong('astray') })));
}
