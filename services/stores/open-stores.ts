import type { StorageConfig } from '../../shared/config/config.ts';
import type { OpenStores, StoreSurroundings } from './opened-stores.ts';

/** Opens the store that the configuration names. The other kind is not even loaded: an SDK takes much memory. */
export async function openStores(
  config: StorageConfig,
  surroundings: StoreSurroundings,
): Promise<OpenStores> {
  if (config.kind === 'filesystem') {
    const { openFolder } = await import('./open-folder.ts');
    return openFolder(config, surroundings);
  }
  const { openBucket } = await import('./open-bucket.ts');
  return openBucket(config, surroundings);
}
