import { parseAuthorization } from '../auth/authorization-header.ts';
import type { Grant } from '../auth/access.ts';
import { parseScopes } from '../auth/tokens/scope.ts';
import type { TokenKeys } from '../auth/tokens/token-keys.ts';
import type { TokenAnswer, TokenRequest, TokenService } from '../auth/tokens/token-service.ts';
import { registryError } from '../oci/errors.ts';
import type { ApiRoutes, OpenRoute } from './api-route.ts';
import { HEADERS } from './headers.ts';

type OpenQuestion = Parameters<OpenRoute['answerAnybody']>[0];

const MAX_FORM_BYTES = 64 * 1024;
const JWKS_SECONDS = 60;

/** `/auth/token` (distribution, docs/spec/auth/token.md and oauth.md) and the keys that its tokens are checked by. */
export function createTokenRoutes(
  service: TokenService,
  keys: Pick<TokenKeys, 'published'>,
): ApiRoutes {
  return new Map<string, OpenRoute>([
    [
      '/auth/token',
      {
        operation: 'token',
        methods: ['GET', 'POST'],
        answerAnybody: async (question) => {
          const isForm = question.method === 'POST';
          const asked = isForm ? await readForm(question) : readQuery(question);
          const answer = await service.issue(asked, question.signal);
          return isForm ? oauthAnswer(answer) : tokenAnswer(answer);
        },
      },
    ],
    [
      '/auth/jwks.json',
      {
        operation: 'jwks',
        headers: { [HEADERS.cacheControl]: `public, max-age=${JWKS_SECONDS}` },
        answerAnybody: async () => ({ keys: await keys.published() }),
      },
    ],
  ]);
}

function readQuery({ query, request }: OpenQuestion): TokenRequest {
  return {
    origin: request.origin,
    service: query.get('service') ?? undefined,
    scopes: parseScopes(query.getAll('scope')),
    proof: basicProof(request.authorization),
    isOffline: query.get('offline_token') === 'true',
  };
}

/** Anything but no header or a password is a password that nobody has. */
function basicProof(header: string | undefined): TokenRequest['proof'] {
  const authorization = parseAuthorization(header);
  if (authorization.kind === 'none') return { kind: 'nothing' };
  if (authorization.kind === 'basic') {
    return { kind: 'password', credentials: authorization.credentials };
  }
  return { kind: 'refresh', token: '' };
}

async function readForm({ request, contentType, readBody }: OpenQuestion): Promise<TokenRequest> {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') throw badForm('the body must be a form');
  const form = new URLSearchParams((await readBody(MAX_FORM_BYTES)).toString('utf8'));
  return {
    origin: request.origin,
    service: form.get('service') ?? undefined,
    scopes: parseScopes(form.getAll('scope')),
    proof: formProof(form),
    isOffline: form.get('access_type') === 'offline',
  };
}

function formProof(form: URLSearchParams): TokenRequest['proof'] {
  switch (form.get('grant_type')) {
    case 'password':
      return {
        kind: 'password',
        credentials: { username: form.get('username') ?? '', password: form.get('password') ?? '' },
      };
    case 'refresh_token':
      return { kind: 'refresh', token: form.get('refresh_token') ?? '' };
    case null:
    default:
      throw badForm('grant_type must be password or refresh_token');
  }
}

const badForm = (message: string): Error => registryError('UNSUPPORTED', { status: 400, message });

/** Clients read either name of the token. */
const tokenAnswer = (answer: TokenAnswer): object => ({
  token: answer.token,
  access_token: answer.token,
  expires_in: answer.expiresInSeconds,
  issued_at: rfc3339(answer.issuedAt),
  ...(answer.refreshToken !== undefined && { refresh_token: answer.refreshToken }),
});

const oauthAnswer = (answer: TokenAnswer): object => ({
  ...tokenAnswer(answer),
  token_type: 'Bearer',
  scope: answer.grants.map(scopeOf).join(' '),
});

const scopeOf = ({ type, name, actions }: Grant): string => `${type}:${name}:${actions.join(',')}`;

const rfc3339 = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;
