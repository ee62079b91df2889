import type { RegistryError } from '../oci/errors.ts';
import type { Access, Principal } from './access.ts';

/** What is known of where a request comes from. */
export interface ClientOrigin {
  /** The client's address, as far as proxies that are trusted tell it. */
  readonly address: string;
  /** Secrets may travel: the connection is encrypted, or does not leave the machine, or is said to be good enough. */
  readonly isSafe: boolean;
  /** Scheme and host as the client wrote them, without a slash at its end. */
  readonly baseUrl: string;
}

/** A request, as far as it tells who sends it. */
export interface SignedRequest {
  /** Its `Authorization` header. */
  readonly authorization: string | undefined;
  readonly origin: ClientOrigin;
  /** True: what it changes lasts, so that a password is compared now, whoever was believed just before. */
  readonly isLasting?: boolean;
}

/** Finds out who asks, and says what is missing. */
export interface Authenticator {
  /**
   * Who sends the request; without credentials nobody in particular. Throws RegistryError: 401 with a challenge for
   * credentials that are not right, 403 for a password that must not travel as it did, 503 when nobody can tell.
   */
  authenticate(request: SignedRequest, signal: AbortSignal): Promise<Principal>;
  /** The answer to somebody who may not do what he asks for; nothing is asked for where it is enough to be somebody. */
  refusal(request: SignedRequest, principal: Principal, asked: readonly Access[]): RegistryError;
}
