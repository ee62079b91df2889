import type { IncomingMessage } from 'node:http';

import { type Access, type AccessPolicy, ANONYMOUS, type Principal } from '../auth/access.ts';
import type { Authenticator, SignedRequest } from '../auth/authenticator.ts';
import { registryError } from '../oci/errors.ts';
import type { ClientOrigins } from './client-origin.ts';

/** How a role finds out who asks. */
export interface Identities {
  readonly authenticator: Authenticator;
  readonly origins: ClientOrigins;
}

export interface AdmissionOptions {
  readonly access: AccessPolicy;
  /** Without it everybody is anonymous, whatever credentials he sends. */
  readonly identities?: Identities | undefined;
}

/** Who sends a request, and what he may do. */
export class Admission {
  readonly principal: Principal;
  readonly #access: AccessPolicy;
  readonly #signal: AbortSignal;
  readonly #refusal: (asked: readonly Access[]) => Error;

  private constructor(
    principal: Principal,
    access: AccessPolicy,
    signal: AbortSignal,
    refusal: (asked: readonly Access[]) => Error,
  ) {
    this.principal = principal;
    this.#access = access;
    this.#signal = signal;
    this.#refusal = refusal;
  }

  /** Of a role without identities. */
  static ofAnybody(access: AccessPolicy, signal: AbortSignal): Admission {
    return new Admission(ANONYMOUS, access, signal, denied);
  }

  /** Throws RegistryError for credentials that are not right. */
  static async of(
    request: SignedRequest,
    { authenticator }: Identities,
    access: AccessPolicy,
    signal: AbortSignal,
  ): Promise<Admission> {
    const principal = await authenticator.authenticate(request, signal);
    return new Admission(principal, access, signal, (asked) =>
      authenticator.refusal(request, principal, asked),
    );
  }

  readonly allows = (access: Access): Promise<boolean> =>
    this.#access.allows(this.principal, access, this.#signal);

  /** Throws the refusal where one of them is not allowed. */
  async demand(asked: readonly Access[]): Promise<void> {
    for (const access of asked) if (!(await this.allows(access))) throw this.#refusal(asked);
  }

  /** Throws the refusal where nobody is signed in. */
  demandSomebody(): void {
    if (this.principal.kind === 'anonymous') throw this.#refusal([]);
  }
}

const denied = (asked: readonly Access[]): Error => registryError('DENIED', { detail: asked[0] });

/** What of a request tells who sends it. */
export const signedRequest = (http: IncomingMessage, origins: ClientOrigins): SignedRequest => ({
  authorization: http.headers.authorization,
  origin: origins.of(http),
});
