import type { WorkloadIssuer } from '../auth/workload/workload-config.ts';
import { createLdap, type LdapSettings } from './ldap-settings.ts';
import { createOidc, type OidcSettings } from './oidc-settings.ts';
import type { Values } from './variables.ts';

/** How requests show where they come from, and what may travel on which connection. */
interface AuthEdgeConfig {
  /** Addresses or CIDR blocks. */
  readonly trustedProxies: readonly string[];
  /** Passwords are taken over plain HTTP from other machines. */
  readonly allowsInsecure: boolean;
  readonly basicRealm: string;
}

/** How our own tokens are made. */
export interface TokenConfig {
  /** PEM; undefined: the keys lie in the store. */
  readonly keyFile: string | undefined;
  /** Undefined: at the address that the client has used. */
  readonly realm: string | undefined;
  readonly service: string;
  readonly issuer: string;
  readonly lifeSeconds: number;
  /** Of tokens that stand in for a password. */
  readonly refreshSeconds: number;
}

/** Everybody may do everything. */
interface OpenConfig {
  readonly mode: 'none';
}

/** Whoever has a password in a file may do everything. */
export interface HtpasswdConfig extends AuthEdgeConfig {
  readonly mode: 'htpasswd';
  readonly htpasswdFile: string;
  /** Then clients are asked for tokens: docker gives up where it is asked for a password that it has not. */
  readonly isPullPublic: boolean;
  readonly tokens: TokenConfig;
}

/** Everybody may do what projects say. */
export interface TokenModeConfig extends AuthEdgeConfig {
  readonly mode: 'token';
  /** Undefined: the accounts of the registry alone. */
  readonly htpasswdFile: string | undefined;
  readonly ldap: LdapSettings | undefined;
  readonly oidc: OidcSettings | undefined;
  readonly workloadIssuers: readonly WorkloadIssuer[];
  /** Who makes projects by pushing to them. */
  readonly projectCreation: 'everyone' | 'admins';
  /** Of projects that are made by a push. */
  readonly projectVisibility: 'public' | 'private';
  readonly tokens: TokenConfig;
}

/** Everybody may do what his token of another issuer says. */
export interface ExternalConfig extends AuthEdgeConfig {
  readonly mode: 'external';
  /** Where clients get tokens. */
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** A URL or a file. */
  readonly jwks: string | undefined;
  readonly certificatesFile: string | undefined;
  readonly algorithms: readonly string[];
}

export type AuthConfig = OpenConfig | HtpasswdConfig | TokenModeConfig | ExternalConfig;

export function createAuth(values: Values): AuthConfig {
  const edge = {
    trustedProxies: values.TRUSTED_PROXIES ?? [],
    allowsInsecure: values.ALLOW_INSECURE_AUTH,
    basicRealm: values.AUTH_BASIC_REALM,
  };
  switch (values.AUTH_MODE) {
    case 'none':
      return { mode: 'none' };
    case 'htpasswd':
      return {
        ...edge,
        mode: 'htpasswd',
        htpasswdFile: values.AUTH_HTPASSWD_FILE ?? '',
        isPullPublic: values.AUTH_ANONYMOUS_PULL,
        tokens: createTokens(values),
      };
    case 'token':
      return {
        ...edge,
        mode: 'token',
        htpasswdFile: values.AUTH_HTPASSWD_FILE,
        ldap: createLdap(values),
        oidc: createOidc(values),
        workloadIssuers: values.AUTH_WORKLOAD_ISSUERS,
        projectCreation: values.AUTH_PROJECT_CREATION,
        projectVisibility: values.AUTH_PROJECT_VISIBILITY,
        tokens: createTokens(values),
      };
    case 'external':
      return {
        ...edge,
        mode: 'external',
        realm: values.AUTH_TOKEN_REALM ?? '',
        service: values.AUTH_TOKEN_SERVICE,
        issuer: values.AUTH_TOKEN_ISSUER,
        jwks: values.AUTH_EXTERNAL_JWKS,
        certificatesFile: values.AUTH_EXTERNAL_CERTIFICATES,
        algorithms: values.AUTH_EXTERNAL_ALGORITHMS,
      };
  }
}

const createTokens = (values: Values): TokenConfig => ({
  keyFile: values.AUTH_TOKEN_KEY_FILE,
  realm: values.AUTH_TOKEN_REALM,
  service: values.AUTH_TOKEN_SERVICE,
  issuer: values.AUTH_TOKEN_ISSUER,
  lifeSeconds: values.AUTH_TOKEN_SECONDS,
  refreshSeconds: values.AUTH_REFRESH_SECONDS,
});
