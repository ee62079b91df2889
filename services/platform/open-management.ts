import type { ManagementParts } from '../../shared/api/management-api.ts';
import type { Config } from '../../shared/config/config.ts';
import { UpstreamTable } from '../../shared/content/upstream-table.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { ProjectAdministration } from '../../shared/management/project-administration.ts';
import { Robots } from '../../shared/management/robots.ts';
import type { BlobStore } from '../../shared/storage/blob-store.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import type { OpenIdentities } from '../identities/identities-options.ts';
import type { OpenStores } from '../stores/opened-stores.ts';

export interface ManagementOptions {
  readonly stores: Pick<OpenStores, 'exclusive'>;
  readonly records: RecordStore;
  readonly blobs: Pick<BlobStore, 'stat'>;
  readonly index: RegistryIndex;
  /** Undefined: nothing is remembered beside the store. */
  readonly redis: { forgetAll(): Promise<boolean> } | undefined;
  readonly clock: Clock;
}

/** What the management API of the push service stands on; undefined where who may do what is another server's affair. */
export function openManagement(
  config: Config,
  { identities, projectRights, managed }: OpenIdentities,
  { stores, records, blobs, index, redis, clock }: ManagementOptions,
): ManagementParts | undefined {
  if (config.role !== 'push' || config.auth.mode === 'external') return undefined;
  const deps = { records, exclusive: stores.exclusive, leases: index.leases, clock };
  const table = new UpstreamTable(records, config.upstreams, clock);
  const administration = new ProjectAdministration({
    ...deps,
    ...{ index, blobs },
    robots: new Robots(deps),
    upstreams: (signal) => table.entries(signal),
    rules: config,
  });
  return {
    administration,
    creation: projectRights?.creation ?? 'everyone',
    identities:
      managed ?? (identities && { isByProjects: false, onAccountChange: () => undefined }),
    afterCacheDeletion: redis && (() => redis.forgetAll()),
  };
}
