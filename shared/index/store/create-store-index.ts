import type { Clock } from '../../lifecycle/clock.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { RegistryIndex } from '../ports.ts';
import { ProcessHints } from './process-hints.ts';
import { ProcessLeases } from './process-leases.ts';
import { StoreCatalog } from './store-catalog.ts';
import { StoreManifestTypeIndex } from './store-manifest-type-index.ts';
import { StoreMembershipIndex } from './store-membership-index.ts';
import { StoreOriginIndex } from './store-origin-index.ts';
import { StoreProjectIndex } from './store-project-index.ts';
import { StoreReferrerIndex } from './store-referrer-index.ts';
import { StoreTagIndex } from './store-tag-index.ts';

/**
 * The index that answers from the store alone. It caches nothing, so any number of processes over one store agree;
 * leases and hints are each process's own, unless the processes of one program share them.
 */
export function createStoreIndex(
  records: RecordStore,
  clock: Clock,
  shared: Pick<RegistryIndex, 'leases' | 'hints'> = {
    leases: new ProcessLeases(clock),
    hints: new ProcessHints(clock),
  },
): RegistryIndex {
  return {
    tags: new StoreTagIndex(records),
    members: new StoreMembershipIndex(records),
    referrers: new StoreReferrerIndex(records),
    catalog: new StoreCatalog(records),
    projects: new StoreProjectIndex(records),
    origins: new StoreOriginIndex(records),
    manifestTypes: new StoreManifestTypeIndex(records),
    leases: shared.leases,
    hints: shared.hints,
  };
}
