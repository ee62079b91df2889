import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { RegistryIndex } from '../../index/ports.ts';
import { createStoreIndex } from '../../index/store/create-store-index.ts';
import { systemClock } from '../../lifecycle/clock.ts';
import { FilesystemBlobStore } from '../../storage/filesystem/filesystem-blob-store.ts';
import { FilesystemRecordStore } from '../../storage/filesystem/filesystem-record-store.ts';

export interface TempStore {
  readonly folder: string;
  readonly records: FilesystemRecordStore;
  readonly blobs: FilesystemBlobStore;
  readonly index: RegistryIndex;
  remove(): Promise<void>;
}

/** A store in a temporary folder with an index over it alone. */
export async function createTempStore(): Promise<TempStore> {
  const folder = await mkdtemp(join(tmpdir(), 'twinport-test-'));
  const records = new FilesystemRecordStore(folder);
  return {
    folder,
    records,
    blobs: new FilesystemBlobStore(folder),
    index: createStoreIndex(records, systemClock),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
