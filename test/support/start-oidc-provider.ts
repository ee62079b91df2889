import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import { Provider } from 'oidc-provider';

import { freePort } from './free-port.ts';

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
    visit: (url: string) => visit(url, callbackUrl),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

async function visit(from: string, callbackUrl: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let url = from;
  for (let step = 0; step < 10; step += 1) {
    if (url.startsWith(callbackUrl)) return new URL(url);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { headers: { cookie }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';', 1);
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    const location = response.headers.get('location');
    if (location === null) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    await response.body?.cancel();
    url = new URL(location, url).href;
  }
  throw new Error('the provider leads nowhere');
}
