import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';

import { StorageError } from '../../storage/errors.ts';
import { changeKey, changesFolder } from '../../storage/object-keys.ts';
import { unending } from '../../storage/testing/contract-support.ts';
import {
  type RecordPlace,
  VersionedRecords,
  type VersionedRecordsDependencies,
} from '../versioned-records.ts';

const schema = z.object({
  revision: z.number().exactOptional(),
  words: z.array(z.string()),
});
type Words = z.infer<typeof schema>;

export interface VersionedRecordsBench {
  /** Of two processes over one store. */
  readonly replicas: readonly [VersionedRecordsDependencies, VersionedRecordsDependencies];
  readonly cleanUp: () => Promise<void>;
}

/** What holds for records that several processes change, over every store that they are changed in. */
export function describeVersionedRecords(
  name: string,
  prepare: () => Promise<VersionedRecordsBench>,
): void {
  describe(`${name} as a store of records that people change`, () => {
    let bench: VersionedRecordsBench;
    let first: VersionedRecords<Words>;
    let second: VersionedRecords<Words>;
    let number = 0;
    const key = (record: string): string => `twinport/v1/words/${record}.json`;
    const newName = (): string => `record-${(number += 1)}`;
    const shown = async (record: string): Promise<Words | undefined> => {
      const bytes = await bench.replicas[1].records.get(key(record), unending);
      return bytes && schema.parse(JSON.parse(bytes.toString()));
    };
    const put = (record: string, value: Words): Promise<void> =>
      bench.replicas[0].records.put(key(record), Buffer.from(JSON.stringify(value)), unending);
    const placeOf = (deps: VersionedRecordsDependencies): RecordPlace<Words> => ({
      kind: 'words',
      schema,
      get: shown,
      put: (record, value, signal) =>
        deps.records.put(key(record), Buffer.from(JSON.stringify(value)), signal),
      remove: (record, signal) => deps.records.delete(key(record), signal),
    });
    const withWord =
      (word: string) =>
      (current: Words | undefined): Words => ({ words: [...(current?.words ?? []), word] });

    beforeAll(async () => {
      bench = await prepare();
      const [a, b] = bench.replicas;
      first = new VersionedRecords(a, placeOf(a));
      second = new VersionedRecords(b, placeOf(b));
    });
    afterAll(() => bench.cleanUp());

    test('begins with nothing at revision 0 and counts each change', async () => {
      const record = newName();
      expect(await first.read(record, unending)).toEqual({ value: undefined, revision: 0 });
      expect(await first.write(record, { words: ['a'] }, 0, unending)).toBe(true);
      expect(await second.read(record, unending)).toEqual({
        value: { words: ['a'], revision: 1 },
        revision: 1,
      });
      expect(await second.write(record, { words: ['a', 'b'] }, 1, unending)).toBe(true);
      expect(await shown(record)).toEqual({ words: ['a', 'b'], revision: 2 });
    });

    test('refuses a change of what is not as it was read any more', async () => {
      const record = newName();
      await first.write(record, { words: ['a'] }, 0, unending);
      expect(await second.write(record, { words: ['late'] }, 0, unending)).toBe(false);
      await first.write(record, { words: ['b'] }, 1, unending);
      await first.write(record, { words: ['c'] }, 2, unending);
      expect(await second.write(record, { words: ['late'] }, 0, unending)).toBe(false);
      expect(await second.write(record, undefined, 1, unending)).toBe(false);
      expect(await shown(record)).toEqual({ words: ['c'], revision: 3 });
    });

    test('takes up a record that was written before there were revisions', async () => {
      const record = newName();
      await put(record, { words: ['old'] });
      expect(await second.read(record, unending)).toEqual({
        value: { words: ['old'] },
        revision: 0,
      });
      await first.change(record, withWord('new'), unending);
      expect(await shown(record)).toEqual({ words: ['old', 'new'], revision: 1 });
    });

    test('loses no change of many writers in two processes', async () => {
      const record = newName();
      const words = Array.from({ length: 8 }, (_, i) => `w${i}`);
      await Promise.all(
        words.map((word, i) => (i % 2 ? first : second).change(record, withWord(word), unending)),
      );
      const seen = await shown(record);
      expect([...(seen?.words ?? [])].sort()).toEqual(words);
      expect(seen?.revision).toBe(words.length);
      expect(await first.read(record, unending)).toEqual({ value: seen, revision: words.length });
    });

    test('lets one of several writers of the same revision through', async () => {
      const record = newName();
      const results = await Promise.all(
        Array.from({ length: 6 }, (_, i) =>
          (i % 2 ? first : second).write(record, { words: [`w${i}`] }, 0, unending),
        ),
      );
      expect(results.filter(Boolean)).toHaveLength(1);
      expect((await shown(record))?.words).toEqual([`w${results.indexOf(true)}`]);
    });

    test('goes on counting when a record is deleted and made again', async () => {
      const record = newName();
      await first.write(record, { words: ['a'] }, 0, unending);
      expect(await second.change(record, () => undefined, unending)).toBeUndefined();
      expect(await shown(record)).toBeUndefined();
      expect(await first.read(record, unending)).toEqual({ value: undefined, revision: 2 });
      expect(await first.write(record, { words: ['late'] }, 1, unending)).toBe(false);
      expect(await first.write(record, { words: ['again'] }, 2, unending)).toBe(true);
      expect(await shown(record)).toEqual({ words: ['again'], revision: 3 });
    });

    test('keeps what was made plainly after a deletion', async () => {
      const record = newName();
      await first.write(record, { words: ['a'] }, 0, unending);
      await first.change(record, () => undefined, unending);
      await put(record, { words: ['by a push'] });
      expect(await second.read(record, unending)).toEqual({
        value: { words: ['by a push'] },
        revision: 2,
      });
      await second.change(record, withWord('more'), unending);
      expect(await shown(record)).toEqual({ words: ['by a push', 'more'], revision: 3 });
    });

    test('completes the change of a writer that died before it was shown', async () => {
      const record = newName();
      await first.write(record, { words: ['a'] }, 0, unending);
      const claim = { schemaVersion: 1, revision: 2, token: 'dead', value: { words: ['b'] } };
      await bench.replicas[0].records.put(
        changeKey('words', record, 2),
        Buffer.from(JSON.stringify({ ...claim, value: { ...claim.value, revision: 2 } })),
        unending,
      );
      await second.change(record, withWord('c'), unending);
      expect(await shown(record)).toEqual({ words: ['b', 'c'], revision: 3 });
    });

    test('keeps no more than the last change beside the record', async () => {
      const record = newName();
      for (const word of ['a', 'b', 'c']) await first.change(record, withWord(word), unending);
      const kept = await bench.replicas[0].records.list(
        changesFolder('words', record),
        {},
        unending,
      );
      expect(kept.map((child) => child.name)).toEqual(['0000000003.json']);
    });

    test('says so when a change cannot be read, instead of taking it for none', async () => {
      const record = newName();
      await bench.replicas[0].records.put(
        changeKey('words', record, 1),
        Buffer.from('torn'),
        unending,
      );
      await expect(first.read(record, unending)).rejects.toThrow(StorageError);
    });
  });
}
