import { DOCKER_HUB_PROJECT } from '../content/upstream-entry.ts';
import type { UpstreamConfig } from './upstream-config.ts';

const GIB = 1024 ** 3;

/** What holds for an upstream of which nothing is said but its names and address. */
export const UPSTREAM_DEFAULTS: Omit<
  UpstreamConfig,
  'project' | 'url' | 'hosts' | 'tagTtlSeconds'
> = {
  credentials: [],
  authHosts: [],
  caFile: undefined,
  clientCertificateFile: undefined,
  clientKeyFile: undefined,
  insecure: false,
  proxyUrl: undefined,
  allow: [],
  deny: [],
  maxStaleSeconds: undefined,
  onDeletedTag: 'drop',
  trusted: true,
  private: 'refuse',
  maxConnections: undefined,
  requestsPerSecond: undefined,
  proofTtlSeconds: 24 * 60 * 60,
  cacheBytes: undefined,
  prefetchPlatforms: [],
  completeBytes: 2 * GIB,
};

interface BuiltIn {
  readonly project: string;
  readonly url: string;
  readonly hosts: readonly string[];
}

/** A registry that is cached under its own host name: names with a dot are nobody's project. */
const byHost = (host: string): BuiltIn => ({
  project: host,
  url: `https://${host}`,
  hosts: [host],
});

/** The registries that every mirror knows; the first is the default upstream. */
export const BUILT_IN_UPSTREAMS: readonly [BuiltIn, ...BuiltIn[]] = [
  {
    project: DOCKER_HUB_PROJECT,
    url: 'https://registry-1.docker.io',
    hosts: ['docker.io', 'index.docker.io', 'registry-1.docker.io'],
  },
  byHost('ghcr.io'),
  byHost('quay.io'),
  byHost('registry.k8s.io'),
  byHost('gcr.io'),
  byHost('public.ecr.aws'),
  byHost('mcr.microsoft.com'),
];
