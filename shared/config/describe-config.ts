import type { Config, StorageConfig } from './config.ts';

/** The configuration for a log line: complete, but for secrets, of which only the presence is told. */
export function describeConfig(config: Config): Record<string, unknown> {
  const { storage, upstream, redisUrl, http, crashPoint, ...rest } = config;
  return {
    ...rest,
    ...(crashPoint === undefined ? {} : { crashPoint }),
    http: { ...http, tls: http.tls?.certificateFile },
    storage: describeStorage(storage),
    redis: redisUrl === undefined ? undefined : withoutCredentials(redisUrl),
    upstream: {
      url: upstream.url,
      hosts: upstream.hosts,
      project: upstream.project,
      hasCredentials: upstream.password !== undefined,
    },
  };
}

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
