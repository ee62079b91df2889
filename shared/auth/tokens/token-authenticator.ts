import type { RegistryError } from '../../oci/errors.ts';
import { type Access, ANONYMOUS, type Principal } from '../access.ts';
import type { Authenticator, SignedRequest } from '../authenticator.ts';
import { parseAuthorization } from '../authorization-header.ts';
import { type Challenge, refusal, wrongCredentials, wrongPassword } from '../challenge.ts';
import type { SignIn } from '../sign-in.ts';
import type { TokenVerifier } from './token-verifier.ts';

/** A token with every request (RFC 6750); also a user name and a password, for clients that know nothing else. */
export class TokenAuthenticator implements Authenticator {
  readonly #tokens: TokenVerifier;
  readonly #challenge: Challenge;
  readonly #signIn: SignIn | undefined;

  /** Without `signIn` tokens alone are taken. */
  constructor(tokens: TokenVerifier, challenge: Challenge, signIn: SignIn | undefined) {
    this.#tokens = tokens;
    this.#challenge = challenge;
    this.#signIn = signIn;
  }

  async authenticate(request: SignedRequest, signal: AbortSignal): Promise<Principal> {
    const { origin, isLasting: isFresh } = request;
    const authorization = parseAuthorization(request.authorization);
    if (authorization.kind === 'none') return ANONYMOUS;
    if (authorization.kind === 'bearer') {
      const principal = await this.#tokens.verify(authorization.token);
      if (principal) return principal;
      throw wrongCredentials(this.#challenge, origin, 'invalid_token');
    }
    if (!this.#signIn) throw wrongCredentials(this.#challenge, origin);
    if (authorization.kind === 'basic') {
      const identity = await this.#signIn.check(authorization.credentials, origin, signal, {
        isFresh,
      });
      if (typeof identity !== 'string') return { kind: 'identity', identity };
    }
    throw wrongPassword(this.#challenge, origin);
  }

  refusal(request: SignedRequest, principal: Principal, asked: readonly Access[]): RegistryError {
    return refusal(this.#challenge, request.origin, principal, asked);
  }
}
