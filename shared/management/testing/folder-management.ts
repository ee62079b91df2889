import { quickHash } from '../../auth/testing/quick-hash.ts';
import { ProcessLeases } from '../../index/store/process-leases.ts';
import { type Clock, systemClock } from '../../lifecycle/clock.ts';
import { FilesystemExclusiveRecords } from '../../storage/filesystem/filesystem-exclusive-records.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { UsersDependencies } from '../users.ts';

export interface FolderManagement extends UsersDependencies {
  readonly clock: Clock;
}

/** What records of people stand on, over a store in a folder: with them a test makes the accounts of a registry. */
export const folderManagement = (folder: string, records: RecordStore): FolderManagement => ({
  records,
  exclusive: new FilesystemExclusiveRecords(folder),
  leases: new ProcessLeases(systemClock),
  clock: systemClock,
  hash: quickHash,
});
