import { expect, test } from '@jest/globals';

import { createStoreIndex } from '../../index/store/create-store-index.ts';
import type { ProjectRecord } from '../../index/ports.ts';
import { digestOf } from '../../oci/digest.ts';
import { repositoryFolder } from '../../storage/object-keys.ts';
import { unending } from '../../storage/testing/contract-support.ts';
import { testManagement } from '../testing/test-management.ts';
import { ProjectQuotas } from './project-quotas.ts';
import { StoreUsageLedger } from './store-usage-ledger.ts';

const unlogged = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const big: ProjectRecord = {
  schemaVersion: 1,
  name: 'big',
  createdAt: '2026-01-01T00:00:00.000Z',
  quotaBytes: 5,
};
const blob = { digest: digestOf(Buffer.from('too large')), size: 10 };

/** Quotas of which every count calls `duringCount`, with the number of counts so far. */
function newBench() {
  const management = testManagement();
  const { records, clock } = management;
  const bench = { counts: 0, duringCount: (): void => undefined };
  const list = records.list.bind(records);
  records.list = async (folder, options, signal) => {
    if (folder === repositoryFolder(big.name)) {
      bench.counts += 1;
      bench.duringCount();
    }
    return await list(folder, options, signal);
  };
  const quotas = new ProjectQuotas({
    ...{ records, clock, log: unlogged, lifetime: unending },
    blobs: { stat: () => Promise.resolve(undefined) },
    index: createStoreIndex(records, clock),
    storeLedger: new StoreUsageLedger(management),
  });
  const push = async (): Promise<string> => {
    try {
      return await quotas.during(big, blob, unending, () => Promise.resolve('made'));
    } catch (error) {
      return (error as { code?: string }).code ?? String(error);
    }
  };
  return { bench, quotas, clock, push };
}

test('a project of which a count takes minutes refuses what does not fit, after one count', async () => {
  const { bench, clock, push } = newBench();
  bench.duringCount = () => clock.advance(5 * 60_000);
  expect(await push()).toBe('DENIED');
  expect(bench.counts).toBe(1);
  expect(await push()).toBe('DENIED');
  expect(bench.counts).toBe(2);
});

test('a project in which something is deleted all the time refuses what does not fit', async () => {
  const { bench, quotas, clock, push } = newBench();
  bench.duringCount = () => {
    clock.advance(1_000);
    quotas.changed(big);
  };
  expect(await push()).toBe('DENIED');
  expect(bench.counts).toBe(1);
});

test('who asks while a count runs is refused by one that began later, for it may have missed a delete', async () => {
  const { bench, clock, push } = newBench();
  const later: Promise<string>[] = [];
  bench.duringCount = () => {
    clock.advance(61_000);
    if (later.length > 0) return;
    later.push(push());
    clock.advance(1);
  };
  expect(await push()).toBe('DENIED');
  expect(await Promise.all(later)).toEqual(['DENIED']);
  expect(bench.counts).toBe(2);
});
