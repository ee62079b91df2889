import { z } from 'zod';

import type { OidcSignIn } from '../../auth/oidc/oidc-sign-in.ts';
import { IdentitySourceError } from '../../auth/password-source.ts';
import type { People } from '../../management/people.ts';
import { RegistryError, registryError } from '../../oci/errors.ts';
import { type Endpoint, endpoint, type EndpointReply } from '../endpoint.ts';
import { type PublicOrigin, SessionCookies } from '../session-cookies.ts';
import type { WebSignIn } from '../web-sign-in.ts';
import { html } from './html.ts';
import { pageReply, sendTo } from './page-reply.ts';

/** What is remembered between leaving and coming back; as long as a sign-in may take. */
const STATE_COOKIE = 'twinport-sign-in';
const STATE_SECONDS = 600;

export interface OidcEndpointsDependencies {
  readonly oidc: Pick<OidcSignIn, 'begin' | 'finish'>;
  readonly people: Pick<People, 'noteSignIn'>;
  readonly web: WebSignIn;
  readonly pages: PublicOrigin;
}

/** `/auth/oidc/login` and `/auth/oidc/callback`: the way to an OpenID Connect provider and back. */
export function oidcEndpoints({ oidc, people, web, pages }: OidcEndpointsDependencies): Endpoint[] {
  const cookies = new SessionCookies(pages);
  return [
    endpoint({
      method: 'GET',
      path: '/auth/oidc/login',
      id: 'oidcLogin',
      summary: 'To the provider',
      access: 'open',
      isPage: true,
      query: z.object({ returnTo: z.string().exactOptional() }),
      status: 303,
      answer: async ({ query }) => {
        const { url, sealedState } = await orUnavailable(oidc.begin(query.returnTo));
        return sendTo(url, [cookies.write(STATE_COOKIE, sealedState, STATE_SECONDS)]);
      },
    }),
    endpoint({
      method: 'GET',
      path: '/auth/oidc/callback',
      id: 'oidcCallback',
      summary: 'Back from the provider',
      access: 'open',
      isPage: true,
      query: 'any',
      status: 303,
      audit: { action: 'sign-in', about: () => ({ by: 'oidc' }) },
      answer: async ({ search, cookies: sent, signal }) => {
        try {
          const sealed = cookies.read(sent, STATE_COOKIE);
          const { identity, returnTo } = await orUnavailable(oidc.finish(search, sealed));
          if (!(await people.noteSignIn(identity, signal))) {
            return { ...failed(403, 'This account is locked.', cookies), actor: identity };
          }
          const { setCookie } = await web.begin(identity, sent, signal);
          const reply = sendTo(returnTo, [setCookie, cookies.clear(STATE_COOKIE)]);
          return { ...reply, actor: identity };
        } catch (error) {
          if (!(error instanceof RegistryError) || error.status >= 500) throw error;
          return failed(error.status, 'The sign-in did not succeed.', cookies);
        }
      },
    }),
  ];
}

function failed(status: number, message: string, cookies: SessionCookies): EndpointReply {
  const reply = pageReply(
    'Sign-in',
    html`<p>${message}</p>
      <p><a href="/auth/">Begin again</a></p>`,
    status,
  );
  return { ...reply, headers: { ...reply.headers, 'Set-Cookie': cookies.clear(STATE_COOKIE) } };
}

async function orUnavailable<Value>(asked: Promise<Value>): Promise<Value> {
  try {
    return await asked;
  } catch (cause) {
    if (!(cause instanceof IdentitySourceError)) throw cause;
    throw registryError('UNAVAILABLE', {
      message: 'the provider that signs people in cannot be asked at present',
      headers: { 'Retry-After': '5' },
      cause,
    });
  }
}
