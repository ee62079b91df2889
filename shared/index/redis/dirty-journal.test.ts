import { beforeEach, describe, expect, test } from '@jest/globals';

import { dirtyFolder, dirtyKey, storeIdKey } from '../../storage/object-keys.ts';
import { digestOfText, newRepository } from '../testing/index-names.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryRecordStore } from '../testing/memory-record-store.ts';
import { DirtyJournal } from './dirty-journal.ts';
import { indexTiming } from './index-timing.ts';
import { memberCacheKey } from './redis-keys.ts';

const unending = new AbortController().signal;
const timing = indexTiming(5);
const repository = newRepository();
const keyOf = (text: string): ReturnType<typeof memberCacheKey> =>
  memberCacheKey(repository, 'blob', digestOfText(text));

describe('DirtyJournal', () => {
  let records: MemoryRecordStore;
  let clock: ManualClock;
  let writer: DirtyJournal;
  let reader: DirtyJournal;
  beforeEach(() => {
    records = new MemoryRecordStore();
    clock = new ManualClock();
    writer = new DirtyJournal(records, clock, timing);
    reader = new DirtyJournal(records, clock, timing);
  });
  const entries = (): string[] =>
    [...records.records.keys()].filter((key) => key.startsWith(dirtyFolder));

  test('trusts nothing before its first listing, and no longer than the trust period after one began', async () => {
    expect(reader.trustedStoreId).toBeUndefined();
    await reader.refresh(unending);
    expect(reader.trustedStoreId).toBeDefined();
    clock.advance(4_999);
    expect(reader.trustedStoreId).toBeDefined();
    clock.advance(1);
    expect(reader.trustedStoreId).toBeUndefined();
  });

  test('a listing that fails does not renew the trust', async () => {
    await reader.refresh(unending);
    clock.advance(3_000);
    records.isBroken = true;
    await expect(reader.refresh(unending)).rejects.toThrow('broken');
    clock.advance(2_000);
    expect(reader.trustedStoreId).toBeUndefined();
  });

  test('all replicas find the same store id, and a damaged one is a fault', async () => {
    await Promise.all([reader.refresh(unending), writer.refresh(unending)]);
    await Promise.all([reader.refresh(unending), writer.refresh(unending)]);
    expect(reader.trustedStoreId).toBe(writer.trustedStoreId);
    records.records.set(storeIdKey, Buffer.from('{"id":7}'));
    await expect(reader.refresh(unending)).rejects.toThrow('store-id');
  });

  test('keys are dirty for the writer at once and for the others from their next listing on', async () => {
    await reader.refresh(unending);
    await writer.open([keyOf('a')], unending);
    expect(writer.isDirty(keyOf('a'))).toBe(true);
    expect(reader.isDirty(keyOf('a'))).toBe(false);
    await reader.refresh(unending);
    expect(reader.isDirty(keyOf('a'))).toBe(true);
    expect(reader.isDirty(keyOf('b'))).toBe(false);
  });

  test('the writer may settle its entry when the write ended, the others only when it must have', async () => {
    const held = await writer.open([keyOf('a')], unending);
    await reader.refresh(unending);
    clock.advance(timing.writeDeadlineMs);
    expect(writer.takeDue()).toEqual([]);
    expect(reader.takeDue()).toEqual([]);
    held.finish(true);
    expect(writer.takeDue()).toHaveLength(1);
    clock.advance(timing.journalReuseMs - 1);
    expect(reader.takeDue()).toEqual([]);
    clock.advance(1);
    expect(reader.takeDue()).toHaveLength(1);
  });

  test('the entry of a write that failed stands as long as the write may still take effect', async () => {
    const held = await writer.open([keyOf('a')], unending);
    held.finish(false);
    clock.advance(timing.writeDeadlineMs - 1);
    expect(writer.takeDue()).toEqual([]);
    clock.advance(1);
    expect(writer.takeDue()).toHaveLength(1);
  });

  test('an entry that is removed is clean for all from their next listing on', async () => {
    const held = await writer.open([keyOf('a')], unending);
    await reader.refresh(unending);
    held.finish(true);
    for (const entry of writer.takeDue()) await writer.remove(entry, unending);
    expect(entries()).toEqual([]);
    expect(writer.isDirty(keyOf('a'))).toBe(false);
    expect(reader.isDirty(keyOf('a'))).toBe(true);
    await reader.refresh(unending);
    expect(reader.isDirty(keyOf('a'))).toBe(false);
  });

  test('an entry that could not be removed is due again', async () => {
    const held = await writer.open([keyOf('a')], unending);
    held.finish(true);
    const [entry] = writer.takeDue();
    records.isBroken = true;
    await expect(writer.remove(entry!, unending)).rejects.toThrow('broken');
    records.isBroken = false;
    expect(writer.takeDue()).toEqual([entry]);
  });

  test('an entry that could not be written is settled all the same, for it may stand', async () => {
    records.isBroken = true;
    await expect(writer.open([keyOf('a')], unending)).rejects.toThrow('broken');
    expect(writer.isDirty(keyOf('a'))).toBe(true);
    expect(writer.takeDue()).toEqual([]);
    clock.advance(timing.writeDeadlineMs);
    expect(writer.takeDue()).toHaveLength(1);
  });

  test('takes one entry for everything when many stand, for a while, and not once it is being settled', async () => {
    for (let i = 0; i < 32; i += 1) await writer.open([keyOf(`${i}`)], unending);
    const held = await Promise.all([
      writer.open([keyOf('x')], unending),
      writer.open([keyOf('y')], unending),
    ]);
    expect(entries()).toHaveLength(33);
    expect(writer.isDirty(keyOf('anything'))).toBe(true);
    clock.advance(timing.journalReuseMs - 1);
    held.push(await writer.open([keyOf('z')], unending));
    expect(entries()).toHaveLength(33);
    clock.advance(1);
    held.push(await writer.open([keyOf('late')], unending));
    expect(entries()).toHaveLength(34);
    for (const entry of held) entry.finish(true);
    expect(writer.takeDue().filter(({ keys }) => keys === 'all')).toHaveLength(2);
    await writer.open([keyOf('later')], unending);
    expect(entries()).toHaveLength(35);
  });

  test('an entry with one write that failed under it waits for that one', async () => {
    for (let i = 0; i < 32; i += 1) await writer.open([keyOf(`${i}`)], unending);
    const failed = await writer.open([keyOf('x')], unending);
    const good = await writer.open([keyOf('y')], unending);
    failed.finish(false);
    good.finish(true);
    expect(writer.takeDue()).toEqual([]);
    clock.advance(timing.writeDeadlineMs);
    expect(writer.takeDue()).toHaveLength(1);
  });

  test.each(['', 'nonsense', '{"schemaVersion":2,"keys":[]}', '{"schemaVersion":1}'])(
    'an entry that says %j means everything',
    async (text) => {
      records.records.set(dirtyKey('x'), Buffer.from(text));
      await reader.refresh(unending);
      expect(reader.isDirty(keyOf('a'))).toBe(true);
    },
  );
});
