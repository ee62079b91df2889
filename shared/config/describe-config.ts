import type { Config, InternalConfig, ProxyConfig, StorageConfig } from './config.ts';
import type { UpstreamConfig } from './upstream-config.ts';

/** The configuration for a log line: complete, but for secrets, of which only the presence is told. */
export function describeConfig(config: Config): Record<string, unknown> {
  const { storage, upstreams, defaultUpstream, redisUrl, http, crashPoint, ...rest } = config;
  return {
    ...rest,
    ...('proxies' in rest && { proxies: describeProxies(rest.proxies) }),
    ...('internal' in rest && { internal: describeInternal(rest.internal) }),
    ...(crashPoint === undefined ? {} : { crashPoint }),
    http: { ...http, tls: http.tls?.certificateFile },
    storage: describeStorage(storage),
    redis: redisUrl === undefined ? undefined : withoutCredentials(redisUrl),
    defaultUpstream: defaultUpstream.project,
    upstreams: upstreams.map(describeUpstream),
  };
}

const describeInternal = ({ secret, ...rest }: InternalConfig): object => ({
  ...rest,
  secret: secret === undefined ? 'kept in the store' : 'configured',
});

/** Programs and files are named, accounts and what a proxy wants to hear are not. */
function describeUpstream({ credentials, proxyUrl, ...rest }: UpstreamConfig): object {
  return {
    ...rest,
    ...(proxyUrl === undefined ? {} : { proxyUrl: withoutCredentials(proxyUrl) }),
    credentials: credentials.map(({ kind }) => kind),
  };
}

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
