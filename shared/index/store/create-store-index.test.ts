import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '../../lifecycle/clock.ts';
import { FilesystemRecordStore } from '../../storage/filesystem/filesystem-record-store.ts';
import { describeRegistryIndex } from '../testing/index-contract.ts';
import { createStoreIndex } from './create-store-index.ts';

describeRegistryIndex('StoreIndex over files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'twinport-index-'));
  const records = new FilesystemRecordStore(folder);
  return {
    index: createStoreIndex(records, systemClock),
    replica: createStoreIndex(new FilesystemRecordStore(folder), systemClock),
    records,
    isShared: false,
    cleanUp: () => rm(folder, { recursive: true, force: true }),
  };
});
