import { z } from 'zod';

import type { Credentials } from './credentials/credential-source.ts';
import type { Challenge } from './challenge.ts';
import { isRegistryErrorBody, parseJson } from './answer.ts';
import { type HttpExchange, readBody } from './http-exchange.ts';
import { found, limitedFor, type Outcome, unavailable } from './outcome.ts';
import { decideRealm } from './realm-policy.ts';
import { parseRetryAfter } from './retry-after.ts';
import type { IssuedToken } from './token-cache.ts';

export const basicAuthorization = ({ username, password }: Credentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;

/** Tokens with many grants reach some 10 KB; twelve times that is a mistake or an attack. */
const TOKEN_BODY_MAX_BYTES = 128 * 1024;
/** The life of a token whose answer names none (distribution, docs/spec/auth/token.md). */
const DEFAULT_LIFE_SECONDS = 60;
const MAX_LIFE_SECONDS = 24 * 60 * 60;
/** What may stand in an Authorization header. */
const PRINTABLE = /^[\x21-\x7e]+$/;

const tokenAnswer = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().positive().optional().catch(undefined),
});

export interface TokenRequest {
  readonly upstream: URL;
  readonly authHosts: readonly string[];
  readonly challenge: Challenge;
  readonly scope: string;
  /** Undefined: asked as nobody. */
  readonly account: Credentials | undefined;
}

/** Asks the realm of a Bearer challenge for a token (distribution, docs/spec/auth/token.md). */
export async function fetchToken(
  exchange: HttpExchange,
  request: TokenRequest,
  now: () => Date,
  signal: AbortSignal,
): Promise<Outcome<IssuedToken>> {
  const { challenge, account, scope, upstream, authHosts } = request;
  const realm = challenge.parameters.get('realm') ?? '';
  const decision = decideRealm(realm, upstream, account ? authHosts : 'anonymous');
  if (decision.kind === 'refused') return unavailable('realm', decision.reason);

  const { url } = decision;
  const service = challenge.parameters.get('service');
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (account) {
    url.searchParams.set('account', account.username);
    headers['authorization'] = basicAuthorization(account);
  }
  const response = await exchange.send(
    { method: 'GET', url, headers, followsRedirects: true },
    signal,
  );
  if (response.status === 429) {
    response.discard();
    return limitedFor(parseRetryAfter(response.header('retry-after'), now()));
  }
  const body = await readBody(response.body, TOKEN_BODY_MAX_BYTES, response.url);
  return readTokenAnswer(response.status, parseJson(body), url);
}

function readTokenAnswer(status: number, json: unknown, realm: URL): Outcome<IssuedToken> {
  if (status === 401 || status === 403) {
    return { kind: 'denied', isRegistryAnswer: isTokenRefusal(json) };
  }
  if (status !== 200) {
    return unavailable('server-error', `the token service ${realm.host} answered ${status}`);
  }
  const answer = tokenAnswer.safeParse(json).data;
  const value = answer?.token ?? answer?.access_token;
  if (value === undefined || !PRINTABLE.test(value)) {
    return unavailable('garbage', `the token service ${realm.host} gave no token`);
  }
  const lifeSeconds = Math.min(answer?.expires_in ?? DEFAULT_LIFE_SECONDS, MAX_LIFE_SECONDS);
  return found({ value, lifeSeconds });
}

/** Registries' error body, Docker Hub's `details`, OAuth2's `error`; a web page of a proxy is none of them. */
function isTokenRefusal(json: unknown): boolean {
  if (isRegistryErrorBody(json)) return true;
  if (typeof json !== 'object' || json === null) return false;
  return 'details' in json || 'error' in json;
}
