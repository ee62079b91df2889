import { beforeEach, describe, expect, jest, test } from '@jest/globals';

import { createStoreIndex } from '../index/store/create-store-index.ts';
import { ManualClock } from '../index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../index/testing/memory-record-store.ts';
import { RecordedEdge, until } from '../http/testing/recorded-edge.ts';
import { digestOf } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/reference.ts';
import { lastUseKey } from '../storage/object-keys.ts';
import { LastUse, readLastUse } from './last-use.ts';

const HOUR_MS = 3_600_000;
const signal = new AbortController().signal;
const CACHED = 'mirror/library/app' as RepositoryName;
const PUSHED = 'team/app' as RepositoryName;
const ORIGIN = {
  schemaVersion: 1,
  upstreamUrl: 'u',
  upstreamRepository: 'r',
  verdict: 'public',
} as const;
const [one, two] = [digestOf(Buffer.from('one')), digestOf(Buffer.from('two'))];

describe('when cached manifests were last used', () => {
  let records: MemoryRecordStore;
  let clock: ManualClock;
  const open = (): LastUse => {
    const { origins } = createStoreIndex(records, clock);
    return new LastUse({ records, origins, clock, log: new RecordedEdge().log });
  };
  const read = () => readLastUse(records, CACHED, signal);
  const hourAfter = (hours: number): Date =>
    new Date((Math.floor(clock.now().getTime() / HOUR_MS) + hours) * HOUR_MS);

  beforeEach(async () => {
    records = new MemoryRecordStore();
    clock = new ManualClock();
    const { origins } = createStoreIndex(records, clock);
    await origins.put(CACHED, ORIGIN, signal);
  });

  test('is written once an hour and manifest, and read by the next process', async () => {
    const use = open();
    for (let round = 0; round < 3; round += 1) {
      use.touch(CACHED, one);
      await use.flush(signal);
    }
    const first = records.records.get(lastUseKey(CACHED));
    expect(await read()).toEqual(new Map([[one, hourAfter(1)]]));
    clock.advance(HOUR_MS / 4);
    use.touch(CACHED, one);
    await use.flush(signal);
    expect(records.records.get(lastUseKey(CACHED))).toBe(first);
    clock.advance(HOUR_MS);
    use.touch(CACHED, two);
    await open().flush(signal);
    await use.flush(signal);
    expect(await read()).toEqual(
      new Map([
        [one, hourAfter(0)],
        [two, hourAfter(1)],
      ]),
    );
  });

  test('is written of the others when one repository cannot be', async () => {
    const others = Array.from({ length: 3 }, (_, n) => `mirror/library/n${n}` as RepositoryName);
    const { origins } = createStoreIndex(records, clock);
    for (const name of others) await origins.put(name, ORIGIN, signal);
    const put = jest.spyOn(records, 'put').mockImplementation((key, bytes) => {
      if (key === lastUseKey(CACHED)) return Promise.reject(new Error('it is locked'));
      records.records.set(key, bytes);
      return Promise.resolve();
    });
    const use = open();
    for (const name of [CACHED, ...others]) use.touch(name, one);
    await expect(use.flush(signal)).rejects.toThrow('it is locked');
    for (const name of others) expect((await readLastUse(records, name, signal)).size).toBe(1);
    put.mockRestore();
    await use.flush(signal);
    expect(await read()).toEqual(new Map([[one, hourAfter(1)]]));
  });

  test('is not noted of what was pushed', async () => {
    const use = open();
    use.touch(PUSHED, one);
    await use.flush(signal);
    expect(records.records.has(lastUseKey(PUSHED))).toBe(false);
  });

  test('what another process overwrote at the same time is written again', async () => {
    const [use, other] = [open(), open()];
    use.touch(CACHED, one);
    await use.flush(signal);
    records.records.delete(lastUseKey(CACHED));
    other.touch(CACHED, two);
    await other.flush(signal);
    await use.flush(signal);
    expect([...(await read()).keys()].sort()).toEqual([one, two].sort());
  });

  test('what could not be written is written later, at the latest at the end', async () => {
    const use = open();
    const end = new AbortController();
    const running = use.run(end.signal);
    use.touch(CACHED, one);
    records.isBroken = true;
    await expect(use.flush(signal)).rejects.toThrow();
    records.isBroken = false;
    await until(() => clock.sleepers === 1);
    end.abort();
    await running;
    expect((await read()).size).toBe(1);
  });
});
