import type { FilesystemStorageConfig } from '../shared/config/config.ts';
import type { Log } from '../shared/observability/observer.ts';
import { FilesystemBlobStore } from '../shared/storage/filesystem/filesystem-blob-store.ts';
import { FilesystemRecordStore } from '../shared/storage/filesystem/filesystem-record-store.ts';
import { FilesystemUploadStore } from '../shared/storage/filesystem/filesystem-upload-store.ts';
import type { OpenStores, StoreSurroundings } from './open-stores.ts';

/** A store in a folder. */
export function openFolder(
  { dataDir }: FilesystemStorageConfig,
  { clock, log }: StoreSurroundings,
): OpenStores {
  const records = new FilesystemRecordStore(dataDir);
  return {
    records,
    blobs: new FilesystemBlobStore(dataDir),
    uploads: new FilesystemUploadStore(dataDir, clock),
    links: undefined,
    prepare: async (signal) => {
      warnOfTraits(await records.prepare(signal), dataDir, log);
    },
    close: () => undefined,
  };
}

interface Traits {
  readonly isCaseSensitive: boolean;
  readonly supportsFsync: boolean;
}

function warnOfTraits(traits: Traits, dataDir: string, log: Log): void {
  if (!traits.isCaseSensitive) {
    log.warn({ dataDir }, 'two tags that differ in case alone are one on this file system');
  }
  if (!traits.supportsFsync) {
    log.warn({ dataDir }, 'a power failure may lose the last pushes on this file system');
  }
}
