import type { MirrorConfig } from '../../../shared/config/config.ts';
import { ManifestStore } from '../../../shared/content/manifest-store.ts';
import type { Platform } from '../../platform/platform.ts';
import { CacheEviction } from './cache-eviction.ts';
import { CacheUpkeep } from './cache-upkeep.ts';

/** What is evicted is read once: nothing of it is kept in memory. */
const NO_MEMORY = 0;

/** What evicts from the cache of this platform; undefined where nobody takes part in the removal of bytes. */
export function createCacheEviction(
  platform: Platform,
  config: MirrorConfig,
): CacheEviction | undefined {
  const { index, removal } = platform;
  if (!removal) return undefined;
  const { storage } = config;
  const redirect = storage.kind === 's3' ? storage.redirect : undefined;
  return new CacheEviction({
    ...platform,
    ...removal,
    catalog: removal.stored.catalog,
    manifests: new ManifestStore(platform.blobs, index, undefined, NO_MEMORY),
    redirectSeconds: redirect?.lifeSeconds ?? 0,
    config: config.cache,
    upstreams: config.upstreams,
  });
}

export function createCacheUpkeep(
  platform: Platform,
  config: MirrorConfig,
): CacheUpkeep | undefined {
  const eviction = createCacheEviction(platform, config);
  if (!platform.removal || !eviction) return undefined;
  const { leases, hints } = platform.index;
  return new CacheUpkeep({
    ...platform,
    ...platform.removal,
    leases,
    hints,
    eviction,
    config: config.cache,
  });
}
