import type { MemoryRecordStore } from '../../index/testing/memory-record-store.ts';
import type { ExclusiveRecords } from '../../storage/exclusive-records.ts';

/** Records of a memory that are made once. */
export const exclusiveOfMemory = (store: MemoryRecordStore): ExclusiveRecords => ({
  isReliable: () => Promise.resolve(true),
  create: async (key, bytes, signal) => {
    await store.get(key, signal);
    if (store.records.has(key)) return false;
    store.records.set(key, bytes);
    return true;
  },
});

/** Where nothing is promised: several writers win. */
export const unreliableExclusive: ExclusiveRecords = {
  isReliable: () => Promise.resolve(false),
  create: () => Promise.reject(new Error('not to be relied upon')),
};
