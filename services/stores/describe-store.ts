import type { StorageConfig } from '../../shared/config/config.ts';

/** Where the store is, as a person knows it: "the folder ./data". */
export function describeStore(storage: StorageConfig): string {
  if (storage.kind === 'filesystem') return `the folder ${storage.dataDir}`;
  const { bucket, endpoint, prefix } = storage;
  const place = prefix === '' ? bucket : `${bucket}/${prefix}`;
  return `the bucket ${place}${endpoint === undefined ? '' : ` at ${endpoint}`}`;
}
