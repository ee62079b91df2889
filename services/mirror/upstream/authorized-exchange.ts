import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { waitFor } from '../../../shared/concurrency/single-flight.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { ExchangeRequest, ExchangeResponse, HttpExchange } from './http-exchange.ts';
import { found, type Outcome, UpstreamFault } from './outcome.ts';
import type { CredentialSource } from './credentials/credential-source.ts';
import type { IssuedToken, TokenCache } from './token-cache.ts';
import { basicAuthorization, fetchToken } from './token-service.ts';

/** Who asks an upstream. An account and nobody are two identities whose tokens never mix. */
export type Identity =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'configured'; readonly credentials: CredentialSource };

export interface AuthorizedExchangeOptions {
  readonly exchange: HttpExchange;
  /** Root of the upstream, above `/v2/`. */
  readonly upstream: URL;
  /** Hosts whose token service may be given an account; empty: by the upstream's owner. */
  readonly authHosts: readonly string[];
  readonly identity: Identity;
  readonly tokens: TokenCache;
  readonly clock: Clock;
  /** Ends what is shared among callers. */
  readonly lifetime: AbortSignal;
}

interface Authorization {
  readonly header: string;
  /** Set for tokens: how to forget it when it is refused. */
  readonly token?: { readonly key: string; readonly value: string };
}

/** Without its password an account is as good as refused: who can do without it is asked as anybody. */
const NO_ACCOUNT = { kind: 'denied', isRegistryAnswer: false } as const;

/** A token service that takes longer is no use to a client that waits for headers. */
const TOKEN_DEADLINE_MS = 15_000;

/**
 * Requests to one upstream as one identity. Learns from the first 401 how the upstream wants to be spoken to and from
 * then on comes with a token; a refusal all the same is answered by one more try with a fresh token.
 */
export class AuthorizedExchange {
  readonly #options: AuthorizedExchangeOptions;
  #challenge: Challenge | undefined;

  constructor(options: AuthorizedExchangeOptions) {
    this.#options = options;
  }

  /** The upstream's answer, whatever its status; or why no token was to be had. Throws UpstreamFault. */
  async send(
    request: ExchangeRequest,
    repository: RepositoryName,
    signal: AbortSignal,
  ): Promise<Outcome<ExchangeResponse>> {
    const { exchange, upstream } = this.#options;
    const first = await this.#authorization(repository, signal);
    if (first.kind !== 'found') return first;
    const response = await exchange.send(withAuthorization(request, first.value), signal);
    const refused = first.value?.token;
    // A 403 counts only with a token: it may have been issued before rights changed.
    const isRefusal = response.status === 401 || (response.status === 403 && refused);
    if (!isRefusal || response.url.origin !== upstream.origin) return found(response);

    let second: Outcome<Authorization | undefined>;
    try {
      const challenge = await this.#learn(response, signal);
      if (!challenge) return found(response);
      this.#forget(first.value);
      second = await this.#authorization(repository, signal);
    } catch (error) {
      response.discard();
      throw error;
    }
    if (second.kind === 'found' && second.value?.header === first.value?.header) {
      return found(response);
    }
    response.discard();
    if (second.kind !== 'found') return second;
    return found(await exchange.send(withAuthorization(request, second.value), signal));
  }

  /** What was refused is not to be used again. */
  #forget(authorization: Authorization | undefined): void {
    const { identity, tokens } = this.#options;
    if (authorization?.token) tokens.drop(authorization.token.key, authorization.token.value);
    else if (authorization && identity.kind === 'configured') identity.credentials.refused();
  }

  /** The challenge that this identity can answer. Some registries send it with the version check alone (image#211). */
  async #learn(response: ExchangeResponse, signal: AbortSignal): Promise<Challenge | undefined> {
    const challenge = this.#usable(response.header('www-authenticate'));
    if (challenge) this.#challenge = challenge;
    else if (!this.#challenge) {
      const url = new URL('v2/', this.#options.upstream);
      const version = await this.#options.exchange.send(
        { method: 'GET', url, headers: {}, followsRedirects: false },
        signal,
      );
      version.discard();
      this.#challenge = this.#usable(version.header('www-authenticate'));
    }
    return this.#challenge;
  }

  #usable(header: string | undefined): Challenge | undefined {
    const challenges = parseChallenges(header ?? '');
    const bearer = challenges.find(
      ({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'),
    );
    if (bearer || this.#options.identity.kind === 'anonymous') return bearer;
    return challenges.find(({ scheme }) => scheme === 'basic');
  }

  async #authorization(
    repository: RepositoryName,
    signal: AbortSignal,
  ): Promise<Outcome<Authorization | undefined>> {
    const { upstream, identity, tokens } = this.#options;
    const challenge = this.#challenge;
    if (!challenge) return found(undefined);
    if (challenge.scheme === 'basic') {
      if (identity.kind === 'anonymous') return found(undefined);
      const account = await identity.credentials.current(signal);
      return account ? found({ header: basicAuthorization(account) }) : NO_ACCOUNT;
    }
    // Built here: the scope of a challenge may be a placeholder (ghcr.io) or broken (nvcr.io).
    const scope = `repository:${repository}:pull`;
    const who = identity.kind === 'configured' ? identity.credentials.name : 'anonymous';
    const key = `${upstream.href} ${who} ${scope}`;
    // Shared by all who wait for the same token, hence not ended by the one who asked first.
    const issue = (): Promise<Outcome<IssuedToken>> =>
      this.#issue(challenge, scope).catch((error: unknown) => {
        if (error instanceof DOMException && error.name === 'TimeoutError') {
          throw new UpstreamFault('timeout', 'the token service did not answer in time', error);
        }
        throw error;
      });
    const outcome = await waitFor(tokens.get(key, issue), signal);
    if (outcome.kind !== 'found') return outcome;
    const { value } = outcome;
    return found({ header: `Bearer ${value}`, token: { key, value } });
  }

  async #issue(challenge: Challenge, scope: string): Promise<Outcome<IssuedToken>> {
    const { exchange, upstream, authHosts, identity, clock, lifetime } = this.#options;
    const signal = AbortSignal.any([lifetime, AbortSignal.timeout(TOKEN_DEADLINE_MS)]);
    const credentials = identity.kind === 'configured' ? identity.credentials : undefined;
    const account = await credentials?.current(signal);
    if (credentials && !account) return NO_ACCOUNT;
    const request = { upstream, authHosts, challenge, scope, account };
    const outcome = await fetchToken(exchange, request, () => clock.now(), signal);
    if (outcome.kind === 'denied') credentials?.refused();
    return outcome;
  }
}

function withAuthorization(
  request: ExchangeRequest,
  authorization: Authorization | undefined,
): ExchangeRequest {
  if (!authorization) return request;
  return { ...request, headers: { ...request.headers, authorization: authorization.header } };
}
