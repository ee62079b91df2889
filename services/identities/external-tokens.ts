import type { TokenVerifier } from '../../shared/auth/tokens/token-verifier.ts';
import type { ClientOrigins } from '../../shared/http/client-origin.ts';

/** What the roles check tokens of another issuer with. */
export interface ExternalTokens {
  /** Where clients get them. */
  readonly realm: string;
  /** For whom they are at the push service; at the mirror for the same with `-mirror`. */
  readonly service: string;
  readonly origins: ClientOrigins;
  readonly verifierFor: (service: string) => TokenVerifier;
}
