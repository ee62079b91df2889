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

export type AuthConfig = OpenConfig | HtpasswdConfig;

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
