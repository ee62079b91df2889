import type { FilesystemStorageConfig } from '../../shared/config/config.ts';
import { FilesystemBlobStore } from '../../shared/storage/filesystem/filesystem-blob-store.ts';
import { FilesystemExclusiveRecords } from '../../shared/storage/filesystem/filesystem-exclusive-records.ts';
import { FilesystemRecordStore } from '../../shared/storage/filesystem/filesystem-record-store.ts';
import { FilesystemUploadStore } from '../../shared/storage/filesystem/filesystem-upload-store.ts';
import type { FilesystemTraits } from '../../shared/storage/filesystem/probe-filesystem.ts';
import { probeFolder } from '../../shared/storage/filesystem/probe-folder.ts';
import type { OpenStores, StoreSurroundings } from './opened-stores.ts';

/** A store in a folder. */
export function openFolder(
  { dataDir }: FilesystemStorageConfig,
  { clock }: StoreSurroundings,
): OpenStores {
  let seen: FilesystemTraits = { isCaseSensitive: true, supportsFsync: true };
  const records = new FilesystemRecordStore(dataDir);
  return {
    records,
    exclusive: new FilesystemExclusiveRecords(dataDir),
    blobs: new FilesystemBlobStore(dataDir),
    uploads: new FilesystemUploadStore(dataDir, clock),
    links: undefined,
    prepare: async (signal) => {
      seen = await records.prepare(signal);
    },
    probe: () => probeFolder(dataDir, seen),
    close: () => undefined,
  };
}
