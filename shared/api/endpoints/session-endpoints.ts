import { z } from 'zod';

import { registryError } from '../../oci/errors.ts';
import type { Caller } from '../caller.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { formToken } from '../session-cookies.ts';
import type { WebSignIn } from '../web-sign-in.ts';
import { ACCOUNT, describedAccount, requireSomebody } from './account-endpoints.ts';

const SESSION = z.object({
  account: ACCOUNT,
  /** What changes by this session send along as X-Twinport-Form. */
  formToken: z.string(),
});

/** `/api/v1/session`: people who sign in with a browser. */
export function sessionEndpoints(web: WebSignIn): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/session',
      id: 'getSession',
      summary: 'Whose session it is, and what changes by it need',
      access: 'signed-in',
      reply: SESSION,
      status: 200,
      answer: ({ caller }) =>
        Promise.resolve({
          value: {
            account: describedAccount(requireSomebody(caller)),
            formToken: formToken(requireSession(caller)),
          },
        }),
    }),
    ...(web.takesPasswords ? [signIn(web)] : []),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/session',
      id: 'signOut',
      summary: 'End the session',
      access: 'signed-in',
      status: 204,
      audit: { action: 'sign-out', about: () => ({}) },
      answer: async ({ caller, cookies, signal }) => {
        requireSession(caller);
        return { headers: { 'Set-Cookie': await web.end(cookies, signal) } };
      },
    }),
  ];
}

/** The password's check puts down who signed in. */
const signIn = (web: WebSignIn): Endpoint =>
  endpoint({
    method: 'POST',
    path: '/api/v1/session',
    id: 'signIn',
    summary: 'Begin a session, from a page of this server, by a user name and a password',
    access: 'open',
    isOwnPageOnly: true,
    body: z.object({ username: z.string().max(256), password: z.string().max(1024) }),
    reply: SESSION,
    status: 201,
    answer: async ({ body, origin, cookies, signal }) => {
      const { identity, token, setCookie } = await web.byPassword(body, origin, cookies, signal);
      return {
        value: { account: describedAccount(identity), formToken: formToken(token) },
        headers: { 'Set-Cookie': setCookie },
      };
    },
  });

function requireSession(caller: Caller): string {
  const token = caller.kind === 'identity' ? caller.sessionToken : undefined;
  if (token === undefined) throw registryError('UNAUTHORIZED', { message: 'there is no session' });
  return token;
}
