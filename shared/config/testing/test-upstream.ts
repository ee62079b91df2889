import { BUILT_IN_UPSTREAMS, UPSTREAM_DEFAULTS } from '../built-in-upstreams.ts';
import type { UpstreamConfig } from '../upstream-config.ts';

/** Docker Hub's entry as it is configured by default, at another address where one is given. */
export function testUpstream(settings: Partial<UpstreamConfig> = {}): UpstreamConfig {
  const [hub] = BUILT_IN_UPSTREAMS;
  const hosts = settings.url === undefined ? hub.hosts : [...hub.hosts, new URL(settings.url).host];
  return { ...UPSTREAM_DEFAULTS, ...hub, tagTtlSeconds: 60, hosts, ...settings };
}
