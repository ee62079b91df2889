import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import { Provider } from 'oidc-provider';

import { freePort } from './free-port.ts';
import type { SignInProvider, StartSignInProvider } from './sign-in-provider.ts';
import { walkToCallback } from './walk-to-callback.ts';

interface OidcAccount {
  readonly sub: string;
  readonly preferred_username: string;
  readonly groups: readonly string[];
}

export interface OidcProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Who sits before the browser; nobody: the sign-in is refused. */
  account: OidcAccount | undefined;
  /** Follows the provider's pages as a browser does, until it is sent to the callback. */
  visit(url: string): Promise<URL>;
  close(): Promise<void>;
}

/** oidc-provider on loopback: a real OpenID Connect provider that asks nobody for a password. */
export async function startOidcProvider(callbackUrl: string): Promise<OidcProvider> {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const [clientId, clientSecret] = ['twinport', 'client-secret-of-the-test'];
  const shown: { account: OidcAccount | undefined } = { account: undefined };
  const scope = 'openid profile groups';
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [callbackUrl] }],
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'groups'],
    cookies: { keys: ['key-of-the-test'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, sub) => ({
      accountId: sub,
      claims: () => ({ ...shown.account, groups: [...(shown.account?.groups ?? [])], sub }),
    }),
    loadExistingGrant: async (context) => {
      const { client, session, provider: own } = context.oidc;
      if (!client || session?.accountId === undefined) return undefined;
      const grant = new own.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(scope);
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  const decide = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const outcome = shown.account
      ? { login: { accountId: shown.account.sub } }
      : { error: 'access_denied' };
    await provider.interactionFinished(request, response, outcome);
  };
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/interaction/') === true) void decide(request, response);
    else void answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return Object.assign(shown, {
    ...{ issuer, clientId, clientSecret },
    visit: (url: string) => walkToCallback(url, callbackUrl),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** The same with people of its own, who have names in capitals here. */
export const startOidcProviderOfPeople: StartSignInProvider = async (callbackUrl, people) => {
  const provider = await startOidcProvider(callbackUrl);
  const groups = new Map(people.map((person) => [person.name, person.groups]));
  const subjectOf = (name: string): string => `subject-of-${name}`;
  const { issuer, clientId, clientSecret } = provider;
  const answer: SignInProvider = {
    ...{ issuer, clientId, clientSecret, subjectOf },
    scopes: 'profile groups',
    visit: async (url, name) => {
      provider.account = {
        sub: subjectOf(name),
        preferred_username: name.toUpperCase(),
        groups: groups.get(name) ?? [],
      };
      return await provider.visit(url);
    },
    leaveGroups: (name) => {
      groups.set(name, []);
      return Promise.resolve();
    },
    stop: () => provider.close(),
  };
  return answer;
};
