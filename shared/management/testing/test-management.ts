import { ManualClock } from '../../index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../../index/testing/memory-record-store.ts';
import { ProcessLeases } from '../../index/store/process-leases.ts';
import type { VersionedRecordsDependencies } from '../versioned-records.ts';
import { exclusiveOfMemory } from './exclusive-of-memory.ts';

export interface TestManagement extends VersionedRecordsDependencies {
  readonly records: MemoryRecordStore;
  readonly clock: ManualClock;
}

/** What records of people stand on, in memory and with a clock that the test moves. */
export function testManagement(): TestManagement {
  const records = new MemoryRecordStore();
  const clock = new ManualClock();
  records.now = () => clock.now();
  return {
    records,
    clock,
    exclusive: exclusiveOfMemory(records),
    leases: new ProcessLeases(clock),
  };
}
