import { findUpstream, upstreamRepository } from '../../shared/content/upstream-entry.ts';
import type { UpstreamTable } from '../../shared/content/upstream-table.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';

export interface AccessNameOptions {
  readonly upstreams: Pick<UpstreamTable, 'entries'>;
  /** Hosts that mean this registry. */
  readonly publicHosts: readonly string[];
}

/**
 * The name that rights to what is pulled are asked for at the push service where `ns` says whose path it is: the one that
 * means the same without `ns`. So whoever may pull `team/app` may not therefore pull what another project has cached of a
 * `team/app` elsewhere.
 */
export async function accessName(
  { name, namespace }: { readonly name: RepositoryName; readonly namespace: string },
  { upstreams, publicHosts }: AccessNameOptions,
  signal: AbortSignal,
): Promise<string> {
  const host = namespace.toLowerCase();
  if (publicHosts.includes(host)) return name;
  const upstream = findUpstream(await upstreams.entries(signal), host);
  // What no list has is unknown to everybody.
  return (upstream && upstreamRepository(upstream, name)?.cached) ?? name;
}
