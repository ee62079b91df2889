import type { OriginIndex } from '../index/ports.ts';
import { firstSegment, parseRepositoryName, type RepositoryName } from '../oci/reference.ts';
import type { Projects } from './projects.ts';
import { LOCAL_PREFIX } from './reserved-names.ts';
import { findUpstream, type UpstreamEntry, upstreamRepository } from './upstream-entry.ts';

/** A name without the explicit prefix `local/`; undefined when nothing is left. */
export function withoutLocalPrefix(name: RepositoryName): RepositoryName | undefined {
  return firstSegment(name) === LOCAL_PREFIX
    ? parseRepositoryName(name.slice(LOCAL_PREFIX.length + 1))
    : name;
}

/** What a name means where only this store is asked. */
export type LocalMeaning =
  | { readonly kind: 'pushed'; readonly repository: RepositoryName }
  | {
      readonly kind: 'cached';
      readonly repository: RepositoryName;
      readonly upstream: UpstreamEntry;
      readonly upstreamRepository: RepositoryName;
    };

/**
 * Decides by the first segment alone: a local project (an adopted one may have an upstream's name), else an upstream's
 * project or host, whose cached copy is meant, else a local repository that may or may not exist.
 */
export async function meaningAtPush(
  name: RepositoryName,
  upstreams: readonly UpstreamEntry[],
  projects: Projects,
  signal: AbortSignal,
): Promise<LocalMeaning | undefined> {
  // A project of this name can come from another registry's store alone; it keeps its name.
  const isProject =
    firstSegment(name) === LOCAL_PREFIX && (await projects.find(LOCAL_PREFIX, signal));
  const local = isProject ? name : withoutLocalPrefix(name);
  if (!local) return undefined;
  const upstream = findUpstream(upstreams, firstSegment(local));
  if (!upstream) return { kind: 'pushed', repository: local };
  const project = await projects.find(firstSegment(local), signal);
  if (project && !project.upstream) return { kind: 'pushed', repository: local };
  const found = upstreamRepository(upstream, local);
  return (
    found && {
      kind: 'cached',
      repository: found.cached,
      upstream,
      upstreamRepository: found.upstreamRepository,
    }
  );
}

/** True when the cached repository may be served: proved public, and at the URL that the upstream has now. */
export async function isServableCache(
  repository: RepositoryName,
  upstream: UpstreamEntry,
  origins: OriginIndex,
  signal: AbortSignal,
): Promise<boolean> {
  const marker = await origins.get(repository, signal);
  return marker?.verdict === 'public' && marker.upstreamUrl === upstream.url;
}
