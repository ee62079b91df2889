import type { RegistryError } from '../oci/errors.ts';
import { type Access, ANONYMOUS, type Principal } from './access.ts';
import type { Authenticator, SignedRequest } from './authenticator.ts';
import { parseAuthorization } from './authorization-header.ts';
import { basicChallenge, type Challenge, refusal, wrongPassword } from './challenge.ts';
import type { SignIn } from './sign-in.ts';

/** User name and password with every request (RFC 7617). */
export class BasicAuthenticator implements Authenticator {
  readonly #signIn: SignIn;
  readonly #challenge: Challenge;

  constructor(signIn: SignIn, realm: string) {
    this.#signIn = signIn;
    this.#challenge = basicChallenge(realm);
  }

  async authenticate(request: SignedRequest, signal: AbortSignal): Promise<Principal> {
    const { origin, isLasting: isFresh } = request;
    const authorization = parseAuthorization(request.authorization);
    if (authorization.kind === 'none') return ANONYMOUS;
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
