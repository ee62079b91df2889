import { type RegistryError, registryError } from '../oci/errors.ts';
import type { Access, Principal } from './access.ts';
import type { ClientOrigin } from './authenticator.ts';

type BearerError = 'invalid_token' | 'insufficient_scope';

/** Writes the value of `WWW-Authenticate` (RFC 9110, 11.6.1). */
export interface Challenge {
  write(origin: ClientOrigin, asked: readonly Access[], error?: BearerError): string;
}

/** What may stand between quotes without being escaped. */
const quoted = (text: string): string =>
  `"${text.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '')}"`;

export const basicChallenge = (realm: string): Challenge => ({
  write: () => `Basic realm=${quoted(realm)},charset="UTF-8"`,
});

export interface BearerChallengeOptions {
  /** Undefined: `/auth/token` of the address that the client has used. */
  readonly realm: string | undefined;
  readonly service: string;
}

/** Where to get a token and for what (distribution, docs/spec/auth/token.md). */
export const bearerChallenge = ({ realm, service }: BearerChallengeOptions): Challenge => ({
  write: (origin, asked, error) => {
    const scope = asked.map(scopeOf).join(' ');
    return [
      `Bearer realm=${quoted(realm ?? `${origin.baseUrl}/auth/token`)}`,
      `service=${quoted(service)}`,
      ...(scope === '' ? [] : [`scope=${quoted(scope)}`]),
      ...(error === undefined ? [] : [`error=${quoted(error)}`]),
    ].join(',');
  },
});

/** Who pushes reads as well: one token is for both. */
function scopeOf(access: Access): string {
  if (access.type === 'registry') return 'registry:catalog:*';
  const actions = access.action === 'push' ? 'pull,push' : access.action;
  return `repository:${access.name}:${actions}`;
}

/** Credentials that are not right, whatever is wrong with them. */
export const wrongCredentials = (
  challenge: Challenge,
  origin: ClientOrigin,
  error?: BearerError,
): RegistryError =>
  registryError('UNAUTHORIZED', {
    headers: { 'WWW-Authenticate': challenge.write(origin, [], error) },
  });

/** The same where it is passwords that are asked for, in the words of Docker Hub: docker shows them to people who log in. */
export const wrongPassword = (challenge: Challenge, origin: ClientOrigin): RegistryError =>
  registryError('UNAUTHORIZED', {
    message: 'incorrect username or password',
    headers: { 'WWW-Authenticate': challenge.write(origin, []) },
  });

/** The answer to somebody who may not do what he asks for; the same for what exists and for what does not. */
export function refusal(
  challenge: Challenge,
  origin: ClientOrigin,
  principal: Principal,
  asked: readonly Access[],
): RegistryError {
  const detail = asked.length === 0 ? {} : { detail: asked.map(detailOf) };
  if (principal.kind === 'identity') return registryError('DENIED', detail);
  const isNobody = principal.kind === 'anonymous' || principal.subject === '';
  const error = principal.kind === 'bearer' ? 'insufficient_scope' : undefined;
  const headers = { 'WWW-Authenticate': challenge.write(origin, asked, error) };
  return registryError(isNobody ? 'UNAUTHORIZED' : 'DENIED', { ...detail, status: 401, headers });
}

/** As the reference implementation writes it. */
const detailOf = ({ type, name, action }: Access): object => ({
  Type: type,
  Class: '',
  Name: name,
  Action: type === 'registry' ? '*' : action,
});
