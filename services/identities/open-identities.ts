import { OPEN_ACCESS } from '../../shared/auth/access.ts';
import type { AuthConfig } from '../../shared/config/auth-config.ts';
import type { IdentitiesOptions, OpenIdentities } from './identities-options.ts';

/**
 * Opens the sources of identities. Rejects with a reason that can be shown when one of them cannot be used. Loads what is
 * needed alone: a registry without identities has no use for it.
 */
export async function openIdentities(
  auth: AuthConfig,
  options: IdentitiesOptions,
): Promise<OpenIdentities> {
  if (auth.mode === 'none') {
    return { access: OPEN_ACCESS, identities: undefined, tokens: undefined };
  }
  switch (auth.mode) {
    case 'htpasswd':
      return await (await import('./open-htpasswd.ts')).openHtpasswd(auth, options);
    case 'token':
      return await (await import('./open-token-mode.ts')).openTokenMode(auth, options);
    case 'external':
      return await (await import('./open-external-tokens.ts')).openExternalTokens(auth, options);
  }
}
