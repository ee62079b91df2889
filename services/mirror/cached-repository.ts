import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import type { PullTrace } from '../../shared/content/pull-trace.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';

/** A repository of an upstream and the repository of this store that is its one cached copy. */
export interface CachedRepository {
  readonly upstream: UpstreamConfig;
  readonly upstreamRepository: RepositoryName;
  readonly cached: RepositoryName;
  /** Of the one request that names it so; work that requests share tells nothing here. */
  readonly trace?: PullTrace | undefined;
  /** No client waits: the content is to be held. */
  readonly isBackground?: true;
}
