import {
  allowInsecureRequests,
  authorizationCodeGrant,
  AuthorizationResponseError,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientError,
  ClientSecretBasic,
  clockTolerance,
  type Configuration,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from 'openid-client';

import type { Clock } from '../../lifecycle/clock.ts';
import { registryError } from '../../oci/errors.ts';
import type { Identity } from '../identity.ts';
import { IdentitySourceError } from '../password-source.ts';
import { identityOfClaims } from './identity-of-claims.ts';
import type { OidcConfig } from './oidc-config.ts';
import { returnPath } from './return-path.ts';
import { openState, sealState } from './sign-in-state.ts';

/** Of one request to the provider. */
const REQUEST_SECONDS = 5;
/** What the provider says of itself is asked for again after this. */
const DISCOVERED_MS = 3600_000;
/** Clocks of others may differ from ours by this. */
const SKEW_SECONDS = 60;

export interface OidcSignInDependencies {
  readonly clock: Clock;
  /** 32 bytes, the same for all replicas. */
  readonly stateKey: Uint8Array;
}

/** The way to the provider, and what the browser has to bring back. */
export interface Departure {
  readonly url: string;
  readonly sealedState: string;
}

export interface Arrival {
  readonly identity: Identity;
  /** A path of this server. */
  readonly returnTo: string;
}

/**
 * Sign-in at an OpenID Connect provider: code flow with PKCE (S256), state and nonce; the ID token's signature, issuer,
 * audience, authorised party and times are checked, its algorithm is the one that the provider announced. A provider
 * that cannot be asked is an IdentitySourceError within seconds; everything else that does not fit is a 401 whose text
 * tells nothing of what it was.
 */
export class OidcSignIn {
  readonly #config: OidcConfig;
  readonly #deps: OidcSignInDependencies;
  #provider: { readonly found: Promise<Configuration>; readonly atMs: number } | undefined;

  constructor(config: OidcConfig, deps: OidcSignInDependencies) {
    this.#config = config;
    this.#deps = deps;
  }

  /** Begins a sign-in that shall end at `returnTo`, if that is one of our pages. */
  async begin(returnTo: string | undefined): Promise<Departure> {
    const provider = await this.#discover();
    const verifier = randomPKCECodeVerifier();
    const [state, nonce] = [randomState(), randomNonce()];
    const { callbackUrl, scopes } = this.#config;
    const url = buildAuthorizationUrl(provider, {
      redirect_uri: callbackUrl,
      scope: ['openid', ...scopes].join(' '),
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    });
    const kept = { state, nonce, verifier, returnTo: returnPath(returnTo) };
    const { stateKey, clock } = this.#deps;
    return { url: url.href, sealedState: await sealState(kept, stateKey, clock.now()) };
  }

  /** Ends a sign-in: `query` is what the provider sent the browser back with, `sealedState` what `begin` gave it. */
  async finish(query: string, sealedState: string | undefined): Promise<Arrival> {
    const { stateKey, clock } = this.#deps;
    const kept = sealedState && (await openState(sealedState, stateKey, clock.now()));
    if (!kept) throw refused(undefined);
    const provider = await this.#discover();
    try {
      const url = new URL(this.#config.callbackUrl);
      url.search = query;
      const tokens = await authorizationCodeGrant(provider, url, {
        expectedState: kept.state,
        expectedNonce: kept.nonce,
        pkceCodeVerifier: kept.verifier,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (!claims) throw refused(undefined);
      const more = await this.#userInfo(provider, tokens.access_token, claims);
      // What the ID token says is signed, and goes before what else there is.
      const all: Record<string, unknown> = { ...more, ...claims };
      const identity = identityOfClaims(this.#config.issuer, all, this.#config);
      if (!identity) throw refused(undefined);
      return { identity, returnTo: returnPath(kept.returnTo) };
    } catch (error) {
      throw asKnown(error);
    }
  }

  /** Many providers tell names and groups only when they are asked for them. */
  async #userInfo(
    provider: Configuration,
    accessToken: string,
    claims: Readonly<Record<string, unknown>> & { readonly sub: string },
  ): Promise<Readonly<Record<string, unknown>>> {
    const { nameClaim, groupsClaim } = this.#config;
    const isComplete = [nameClaim, groupsClaim].every((name) => Object.hasOwn(claims, name));
    if (isComplete || provider.serverMetadata().userinfo_endpoint === undefined) return {};
    return await fetchUserInfo(provider, accessToken, claims.sub);
  }

  async #discover(): Promise<Configuration> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (!this.#provider || nowMs - this.#provider.atMs > DISCOVERED_MS) {
      this.#provider = { found: this.#askProvider(), atMs: nowMs };
    }
    const { found } = this.#provider;
    try {
      return await found;
    } catch (error) {
      if (this.#provider.found === found) this.#provider = undefined;
      throw new IdentitySourceError('oidc', { cause: error });
    }
  }

  #askProvider(): Promise<Configuration> {
    const { issuer, clientId, clientSecret } = this.#config;
    const isLoopback = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::|\/|$)/.test(issuer);
    return discovery(
      new URL(issuer),
      clientId,
      { [clockTolerance]: SKEW_SECONDS },
      ClientSecretBasic(clientSecret),
      {
        timeout: REQUEST_SECONDS,
        execute: [
          enableNonRepudiationChecks,
          // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so to stand out: a provider on this machine needs no certificate
          ...(isLoopback ? [allowInsecureRequests] : []),
        ],
      },
    );
  }
}

const refused = (cause: unknown) =>
  registryError('UNAUTHORIZED', { message: 'the sign-in did not succeed; begin it again', cause });

function asKnown(error: unknown): unknown {
  const isAnswer =
    error instanceof AuthorizationResponseError || error instanceof ResponseBodyError;
  const isTimeout = error instanceof ClientError && error.code === 'OAUTH_TIMEOUT';
  if (isAnswer || (error instanceof ClientError && !isTimeout)) return refused(error);
  // Our own account at the provider is not right: nobody who signs in can do anything about it.
  const isOurs = error instanceof WWWAuthenticateChallengeError;
  if (isTimeout || isOurs || error instanceof TypeError) {
    return new IdentitySourceError('oidc', { cause: error });
  }
  return error;
}
