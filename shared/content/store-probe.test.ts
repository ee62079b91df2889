import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { StorageError } from '../storage/errors.ts';
import { foreignProxyCacheKey, projectKey } from '../storage/object-keys.ts';
import { checkStore } from './store-check.ts';
import { askStore, markStore } from './store-probe.ts';
import { createTempStore, type TempStore } from './testing/temp-store.ts';

const signal = new AbortController().signal;

let store: TempStore;
beforeEach(async () => {
  store = await createTempStore();
});
afterEach(() => store.remove());

test('a store answers when it is marked, however often, and fails when it is not', async () => {
  await expect(askStore(store.records, signal)).rejects.toThrow(StorageError);
  await markStore(store.records, signal);
  await markStore(store.records, signal);
  await askStore(store.records, signal);
});

test('the mark does not make a proxy cache of another registry look taken over', async () => {
  await markStore(store.records, signal);
  await store.records.put(foreignProxyCacheKey, Buffer.from('{}'), signal);
  await expect(checkStore(store.records, signal)).rejects.toThrow('adopt-cache');
  await store.records.put(projectKey('team'), Buffer.from('{}'), signal);
  await checkStore(store.records, signal);
});
