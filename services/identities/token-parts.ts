import type { SignIn } from '../../shared/auth/sign-in.ts';
import type { RefreshTokens } from '../../shared/auth/tokens/refresh-tokens.ts';
import type { TokenKeys } from '../../shared/auth/tokens/token-keys.ts';
import type { TokenConfig } from '../../shared/config/auth-config.ts';
import type { ClientOrigins } from '../../shared/http/client-origin.ts';

/** What the token services of the roles are made of. */
export interface TokenParts {
  readonly config: TokenConfig;
  readonly basicRealm: string;
  readonly keys: TokenKeys;
  readonly refreshTokens: RefreshTokens;
  readonly signIn: SignIn;
  readonly origins: ClientOrigins;
  /** Whether replicas believe each other's tokens, as far as that is known. */
  readonly agreement?: { readonly isBroken: boolean };
}
