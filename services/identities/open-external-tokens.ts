import { readFile } from 'node:fs/promises';

import type { ExternalKeys } from '../../shared/auth/tokens/external-keys.ts';
import type { ExternalConfig } from '../../shared/config/auth-config.ts';
import type { IdentitiesOptions, OpenIdentities } from './identities-options.ts';

/** Everybody may do what his token of another issuer says. Rejects with a reason that can be shown. */
export async function openExternalTokens(
  config: ExternalConfig,
  { clock }: Pick<IdentitiesOptions, 'clock'>,
): Promise<OpenIdentities> {
  const [{ ExternalTokenVerifier }, { SignedInPolicy }, { ClientOrigins }, keys] =
    await Promise.all([
      import('../../shared/auth/tokens/external-token-verifier.ts'),
      import('../../shared/auth/signed-in-policy.ts'),
      import('../../shared/http/client-origin.ts'),
      openKeys(config),
    ]);
  const { realm, service, issuer, algorithms } = config;
  return {
    // Of those who bring no token nobody may do anything.
    access: new SignedInPolicy(false),
    identities: undefined,
    tokens: undefined,
    externalTokens: {
      realm,
      service,
      origins: new ClientOrigins(config),
      verifierFor: (audience) =>
        new ExternalTokenVerifier({ keys, issuer, service: audience, algorithms, clock }),
    },
  };
}

async function openKeys({ jwks, certificatesFile }: ExternalConfig): Promise<ExternalKeys> {
  const { ExternalKeys } = await import('../../shared/auth/tokens/external-keys.ts');
  const isRemote = jwks !== undefined && /^https?:\/\//.test(jwks);
  const keys = new ExternalKeys(isRemote ? jwks : undefined);
  if (jwks !== undefined && !isRemote) {
    await takeFile('AUTH_EXTERNAL_JWKS', jwks, (text) => keys.addSet(text));
  }
  if (certificatesFile !== undefined) {
    await takeFile('AUTH_EXTERNAL_CERTIFICATES', certificatesFile, (text) => keys.addPem(text));
  }
  return keys;
}

async function takeFile(
  variable: string,
  file: string,
  take: (text: string) => void,
): Promise<void> {
  try {
    take(await readFile(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${variable} (${file}): ${reason}`, { cause });
  }
}
