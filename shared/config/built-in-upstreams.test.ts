import { expect, test } from '@jest/globals';

import { findUpstream, upstreamRepository } from '../content/upstream-entry.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { BUILT_IN_UPSTREAMS } from './built-in-upstreams.ts';

/** Where a path leads at the upstream that a word names. */
function meaning(word: string, path: string): string | undefined {
  const upstream = findUpstream(BUILT_IN_UPSTREAMS, word);
  const name = parseRepositoryName(path);
  const found = upstream && name && upstreamRepository(upstream, name);
  return found && `${upstream.url} ${found.upstreamRepository} as ${found.cached}`;
}

const HUB = 'https://registry-1.docker.io';

test.each([
  ['docker.io', 'redis', `${HUB} library/redis as mirror/library/redis`],
  ['docker.io', 'bitnami/redis', `${HUB} bitnami/redis as mirror/bitnami/redis`],
  ['index.docker.io', 'library/redis', `${HUB} library/redis as mirror/library/redis`],
  ['registry-1.docker.io', 'redis', `${HUB} library/redis as mirror/library/redis`],
  ['mirror', 'mirror/redis', `${HUB} library/redis as mirror/library/redis`],
  ['docker.io', 'docker.io/a/b/c', `${HUB} a/b/c as mirror/a/b/c`],
  ['ghcr.io', 'org/app', 'https://ghcr.io org/app as ghcr.io/org/app'],
  ['ghcr.io', 'ghcr.io/org/app', 'https://ghcr.io org/app as ghcr.io/org/app'],
  ['quay.io', 'org/app', 'https://quay.io org/app as quay.io/org/app'],
  ['quay.io', 'quay.io/org/app', 'https://quay.io org/app as quay.io/org/app'],
  ['registry.k8s.io', 'pause', 'https://registry.k8s.io pause as registry.k8s.io/pause'],
  [
    'registry.k8s.io',
    'registry.k8s.io/coredns/coredns',
    'https://registry.k8s.io coredns/coredns as registry.k8s.io/coredns/coredns',
  ],
  ['gcr.io', 'project/app', 'https://gcr.io project/app as gcr.io/project/app'],
  ['gcr.io', 'gcr.io/project/app', 'https://gcr.io project/app as gcr.io/project/app'],
  [
    'public.ecr.aws',
    'docker/library/redis',
    'https://public.ecr.aws docker/library/redis as public.ecr.aws/docker/library/redis',
  ],
  [
    'public.ecr.aws',
    'public.ecr.aws/nginx/nginx',
    'https://public.ecr.aws nginx/nginx as public.ecr.aws/nginx/nginx',
  ],
  [
    'mcr.microsoft.com',
    'dotnet/runtime',
    'https://mcr.microsoft.com dotnet/runtime as mcr.microsoft.com/dotnet/runtime',
  ],
  [
    'mcr.microsoft.com',
    'mcr.microsoft.com/powershell',
    'https://mcr.microsoft.com powershell as mcr.microsoft.com/powershell',
  ],
  ['us.gcr.io', 'project/app', undefined],
  ['k8s.gcr.io', 'pause', undefined],
  ['ghcr.io', 'ghcr.io', undefined],
])('%s and %s mean %s', (word, path, expected) => {
  expect(meaning(word, path)).toBe(expected);
});
