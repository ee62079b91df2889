import type { Values } from './variables.ts';

/** How requests show where they come from, and what may travel on which connection. */
interface AuthEdgeConfig {
  /** Addresses or CIDR blocks. */
  readonly trustedProxies: readonly string[];
  /** Passwords are taken over plain HTTP from other machines. */
  readonly allowsInsecure: boolean;
  readonly basicRealm: string;
}

/** Everybody may do everything. */
interface OpenConfig {
  readonly mode: 'none';
}

/** Whoever has a password in a file may do everything. */
export interface HtpasswdConfig extends AuthEdgeConfig {
  readonly mode: 'htpasswd';
  readonly htpasswdFile: string;
  readonly isPullPublic: boolean;
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
      };
  }
}
