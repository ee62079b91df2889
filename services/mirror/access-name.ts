import {
  findUpstream,
  type UpstreamEntry,
  upstreamRepository,
} from '../../shared/content/upstream-entry.ts';
import { LOCAL_PREFIX } from '../../shared/content/reserved-names.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';

export interface AccessNameOptions {
  readonly upstreams: readonly UpstreamEntry[];
  /** Hosts that mean this registry. */
  readonly publicHosts: readonly string[];
}

/**
 * The name that rights to a repository are asked for at the mirror: the path's, or, where `ns` says whose path it is, the
 * one that means the same without `ns`. So a token for `org/app` opens no other registry's `org/app`.
 */
export function accessName(
  { name, namespace }: { readonly name: RepositoryName; readonly namespace: string | undefined },
  { upstreams, publicHosts }: AccessNameOptions,
): string {
  const host = namespace?.toLowerCase() ?? '';
  if (host === '') return name;
  if (publicHosts.includes(host)) return `${LOCAL_PREFIX}/${name}`;
  const upstream = findUpstream(upstreams, host);
  // What no list has is unknown to everybody.
  return (upstream && upstreamRepository(upstream, name)?.cached) ?? name;
}
