import type { AuthConfig } from './auth-config.ts';
import type { Config, InternalConfig, ProxyConfig, StorageConfig } from './config.ts';

/** The configuration for a log line: secrets are told by their presence alone, upstreams by their projects. */
export function describeConfig(config: Config): Record<string, unknown> {
  const { storage, upstreams, defaultUpstream, redisUrl, http, crashPoint, removalHaste, ...rest } =
    config;
  return {
    ...rest,
    ...('proxies' in rest && { proxies: describeProxies(rest.proxies) }),
    ...('internal' in rest && { internal: describeInternal(rest.internal) }),
    ...(crashPoint === undefined ? {} : { crashPoint }),
    ...(removalHaste === 1 ? {} : { removalHaste }),
    auth: describeAuth(rest.auth),
    http: { ...http, tls: http.tls?.certificateFile },
    storage: describeStorage(storage),
    redis: redisUrl === undefined ? undefined : withoutCredentials(redisUrl),
    defaultUpstream: defaultUpstream.project,
    upstreams: { count: upstreams.length, projects: upstreams.map(({ project }) => project) },
  };
}

function describeAuth(auth: AuthConfig): object {
  if (auth.mode !== 'token') return auth;
  const { ldap, oidc } = auth;
  return {
    ...auth,
    ldap: ldap && { ...ldap, account: ldap.account?.dn },
    oidc: oidc && { ...oidc, clientSecret: 'configured' },
  };
}

const describeInternal = ({ secret, ...rest }: InternalConfig): object => ({
  ...rest,
  secret: secret === undefined ? 'kept in the store' : 'configured',
});

const describeProxies = ({ http, https, exceptions }: ProxyConfig): object => ({
  http: http === undefined ? undefined : withoutCredentials(http),
  https: https === undefined ? undefined : withoutCredentials(https),
  exceptions,
});

function describeStorage(storage: StorageConfig): Record<string, unknown> {
  if (storage.kind === 'filesystem') return { ...storage };
  const { credentials, ...rest } = storage;
  return { ...rest, credentials: credentials === undefined ? 'default chain' : 'configured' };
}

/** Scheme, host and port of a URL; the path of a Redis URL is the number of its database. */
function withoutCredentials(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
