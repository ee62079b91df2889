import { expect, test } from '@jest/globals';

import { createStoreIndex } from '../../index/store/create-store-index.ts';
import { ManualClock } from '../../index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../../index/testing/memory-record-store.ts';
import { digestOf } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import { layerLinkKey } from '../../storage/object-keys.ts';
import { LINK_GRACE_MS, LinkRefresh } from './link-refresh.ts';

const signal = new AbortController().signal;
const NAME = 'team/app' as RepositoryName;
const digest = digestOf(Buffer.from('blob'));

test('a link of which clients are told is written again when it is older than half the grace', async () => {
  const records = new MemoryRecordStore();
  const clock = new ManualClock();
  records.now = () => clock.now();
  const { members } = createStoreIndex(records, clock);
  const links = new LinkRefresh({ records, members, clock });
  const age = async (): Promise<number> =>
    clock.now().getTime() -
    (await records.modifiedAt(layerLinkKey(NAME, digest), signal))!.getTime();

  await links.members.add(NAME, 'blob', digest, signal);
  clock.advance(LINK_GRACE_MS / 2 - 1);
  await links.refresh(NAME, 'blob', digest, signal);
  expect(await age()).toBe(LINK_GRACE_MS / 2 - 1);
  clock.advance(2);
  await links.refresh(NAME, 'blob', digest, signal);
  expect(await age()).toBe(0);

  // Another process, which did not write it, looks once.
  clock.advance(LINK_GRACE_MS / 4);
  const other = new LinkRefresh({ records, members, clock });
  await other.refresh(NAME, 'blob', digest, signal);
  expect(await age()).toBe(LINK_GRACE_MS / 4);
  clock.advance(LINK_GRACE_MS / 4 + 1);
  await other.refresh(NAME, 'blob', digest, signal);
  expect(await age()).toBe(0);
});

test('a link that is not there does not come into being', async () => {
  const records = new MemoryRecordStore();
  const clock = new ManualClock();
  const { members } = createStoreIndex(records, clock);
  await new LinkRefresh({ records, members, clock }).refresh(NAME, 'blob', digest, signal);
  expect(records.records.size).toBe(0);
});
