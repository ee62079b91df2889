import type { OidcConfig } from '../auth/oidc/oidc-config.ts';
import type { Values } from './variables.ts';

/** A provider as it is configured: where it sends people back to follows from the address of the push service. */
export type OidcSettings = Omit<OidcConfig, 'callbackUrl'>;

/** Undefined: nobody signs in at a provider. */
export function createOidc(values: Values): OidcSettings | undefined {
  const { AUTH_OIDC_ISSUER: issuer } = values;
  if (issuer === undefined) return undefined;
  return {
    issuer,
    clientId: values.AUTH_OIDC_CLIENT_ID ?? '',
    clientSecret: values.AUTH_OIDC_CLIENT_SECRET ?? '',
    scopes: values.AUTH_OIDC_SCOPES,
    nameClaim: values.AUTH_OIDC_NAME_CLAIM,
    groupsClaim: values.AUTH_OIDC_GROUPS_CLAIM,
    adminGroup: values.AUTH_OIDC_ADMIN_GROUP,
  };
}
