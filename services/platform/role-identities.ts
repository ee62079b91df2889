import type { AccessPolicy } from '../../shared/auth/access.ts';
import { bearerChallenge } from '../../shared/auth/challenge.ts';
import { EvenRefusals } from '../../shared/auth/even-refusals.ts';
import { BearerPolicy, type ProjectOf } from '../../shared/auth/tokens/bearer-policy.ts';
import { TokenAuthenticator } from '../../shared/auth/tokens/token-authenticator.ts';
import { TokenIssuer } from '../../shared/auth/tokens/token-issuer.ts';
import { TokenService } from '../../shared/auth/tokens/token-service.ts';
import { OwnTokenVerifier, RememberedTokens } from '../../shared/auth/tokens/token-verifier.ts';
import type { Identities } from '../../shared/http/admission.ts';
import type { ApiRoutes } from '../../shared/http/api-route.ts';
import { createTokenRoutes } from '../../shared/http/token-routes.ts';
import type { Role } from '../../shared/observability/observer.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { ExternalTokens } from '../identities/external-tokens.ts';
import type { Platform } from './platform.ts';

export interface RoleIdentitiesOptions {
  readonly role: Role;
  /** Decides for everybody but the holders of tokens, and what is put into tokens. */
  readonly policy: AccessPolicy;
  /** What a name means is the role's. */
  readonly projectOf: ProjectOf;
}

export interface RoleIdentities {
  readonly access: AccessPolicy;
  readonly identities: Identities | undefined;
  readonly routes: ApiRoutes;
}

/**
 * How a role finds out who asks and what he may. With tokens each role has a token service of its own, for names mean
 * different things at the two: a token of one is nothing to the other.
 */
export function roleIdentities(
  { identities, tokens, externalTokens, clock, audit }: Platform,
  { role, policy, projectOf }: RoleIdentitiesOptions,
): RoleIdentities {
  if (externalTokens) return externalIdentities(externalTokens, clock, { role, policy, projectOf });
  if (!tokens) return { access: policy, identities, routes: new Map() };
  const { config, keys, signIn, origins } = tokens;
  const { issuer, realm, lifeSeconds } = config;
  const service = serviceOf(role, config);
  const verifier = new OwnTokenVerifier({ keys, issuer, service, clock });
  // What is decided for one request or token; lists, which ask for many names at once, are not held up.
  const even = new EvenRefusals(policy, clock);
  return {
    access: new BearerPolicy(even, projectOf),
    identities: {
      origins,
      authenticator: new TokenAuthenticator(
        new RememberedTokens(verifier, clock),
        bearerChallenge({ realm, service }),
        signIn,
      ),
    },
    routes: createTokenRoutes(
      new TokenService({
        ...tokens,
        audit,
        service,
        policy: even,
        projectOf,
        issuer: new TokenIssuer({ keys, issuer, service, lifeSeconds, clock }),
        toleratesStrangers: role === 'mirror',
      }),
      keys,
    ),
  };
}

/** Whom tokens are for: names mean different things at the two roles. */
const serviceOf = (role: Role, { service }: { readonly service: string }): string =>
  role === 'push' ? service : `${service}-mirror`;

/** Tokens come from somewhere else, and passwords mean nothing here. */
function externalIdentities(
  { realm, origins, verifierFor, ...named }: ExternalTokens,
  clock: Clock,
  { role, policy, projectOf }: RoleIdentitiesOptions,
): RoleIdentities {
  const service = serviceOf(role, named);
  const authenticator = new TokenAuthenticator(
    new RememberedTokens(verifierFor(service), clock),
    bearerChallenge({ realm, service }),
    undefined,
  );
  return {
    access: new BearerPolicy(policy, projectOf),
    identities: { origins, authenticator },
    routes: new Map(),
  };
}
