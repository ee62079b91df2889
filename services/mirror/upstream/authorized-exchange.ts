import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { waitFor } from '../../../shared/concurrency/single-flight.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { ExchangeRequest, ExchangeResponse, HttpExchange } from './http-exchange.ts';
import { found, type Outcome, UpstreamFault } from './outcome.ts';
import type { TokenCache } from './token-cache.ts';
import { basicAuthorization, fetchToken, type Identity } from './token-service.ts';

export interface AuthorizedExchangeOptions {
  readonly exchange: HttpExchange;
  /** Root of the upstream, above `/v2/`. */
  readonly upstream: URL;
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
    const { exchange, upstream, tokens } = this.#options;
    const first = await this.#authorization(repository, signal);
    if (first.kind !== 'found') return first;
    const response = await exchange.send(withAuthorization(request, first.value), signal);
    const refused = first.value?.token;
    // A 403 counts only with a token: it may have been issued before rights changed.
    const isRefusal = response.status === 401 || (response.status === 403 && refused);
    if (!isRefusal || response.url.origin !== upstream.origin) return found(response);

    const challenge = await this.#learn(response, signal);
    if (!challenge) return found(response);
    if (refused) tokens.drop(refused.key, refused.value);
    const second = await this.#authorization(repository, signal);
    if (second.kind === 'found' && second.value?.header === first.value?.header) {
      return found(response);
    }
    response.discard();
    if (second.kind !== 'found') return second;
    return found(await exchange.send(withAuthorization(request, second.value), signal));
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
    const { exchange, upstream, identity, tokens, clock, lifetime } = this.#options;
    const challenge = this.#challenge;
    if (!challenge) return found(undefined);
    if (challenge.scheme === 'basic') {
      return found(
        identity.kind === 'configured'
          ? { header: basicAuthorization(identity.username, identity.password) }
          : undefined,
      );
    }
    // Built here: the scope of a challenge may be a placeholder (ghcr.io) or broken (nvcr.io).
    const scope = `repository:${repository}:pull`;
    const account = identity.kind === 'configured' ? `user:${identity.username}` : 'anonymous';
    const key = `${upstream.href} ${account} ${scope}`;
    // Shared by all who wait for the same token, hence not ended by the one who asked first.
    const issue = (): ReturnType<typeof fetchToken> =>
      fetchToken(
        exchange,
        { upstream, challenge, scope, identity },
        () => clock.now(),
        AbortSignal.any([lifetime, AbortSignal.timeout(TOKEN_DEADLINE_MS)]),
      ).catch((error: unknown) => {
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
}

function withAuthorization(
  request: ExchangeRequest,
  authorization: Authorization | undefined,
): ExchangeRequest {
  if (!authorization) return request;
  return { ...request, headers: { ...request.headers, authorization: authorization.header } };
}
