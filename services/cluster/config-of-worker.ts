import type { Config } from '../../shared/config/config.ts';
import type { LoadedConfig } from '../../shared/config/load-config.ts';

/** The configuration of one worker (from 1): INTERNAL_PORT is not shared, each takes the one after its predecessor's. */
export function configOfWorker(config: LoadedConfig, number: number): LoadedConfig {
  const [first, ...others] = config.roles;
  return {
    ...config,
    roles: [ofWorker(first, number), ...others.map((role) => ofWorker(role, number))],
  };
}

function ofWorker(config: Config, number: number): Config {
  if (config.role !== 'mirror') return config;
  const { url, port } = config.internal;
  if (url === undefined || port === 0) return config;
  const own = new URL(url);
  own.port = String(Number(own.port || 80) + number - 1);
  return { ...config, internal: { ...config.internal, url: own.origin, port: port + number - 1 } };
}
