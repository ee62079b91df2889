import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { StorageError } from '../errors.ts';
import type { RecordStore } from '../record-store.ts';
import { patternBytes, unending } from './contract-support.ts';

export interface RecordStoreBench {
  readonly store: RecordStore;
  /** Another instance over the same data, as another replica has it. */
  readonly replica: RecordStore;
  /** True where a name can be a record and a folder at once (object stores). */
  readonly isFlat: boolean;
  /** False where `a` and `A` are the same record. */
  readonly isCaseSensitive: boolean;
  cleanUp(): Promise<void>;
}

/** What every RecordStore must do. The suite writes under random folders and leaves them to `cleanUp`. */
export function describeRecordStore(name: string, make: () => Promise<RecordStoreBench>): void {
  describe(`${name} as a RecordStore`, () => {
    let bench: RecordStoreBench;
    let store: RecordStore;
    beforeAll(async () => {
      bench = await make();
      store = bench.store;
    });
    afterAll(async () => {
      await bench.cleanUp();
    });
    const newFolder = (): string => `twinport/v1/contract/${randomUUID()}`;
    const put = (key: string, text = key): Promise<void> =>
      store.put(key, Buffer.from(text), unending);
    const names = async (folder: string): Promise<string[]> =>
      (await store.list(folder, {}, unending)).map((child) => child.name);

    test('gives back the bytes that were put, also on another replica', async () => {
      const key = `${newFolder()}/some/deep/record.json`;
      const bytes = patternBytes(10_000, 1);
      await store.put(key, bytes, unending);
      expect((await store.get(key, unending))?.equals(bytes)).toBe(true);
      expect((await bench.replica.get(key, unending))?.equals(bytes)).toBe(true);
    });

    test('tells when a record was last put, and that one is not there', async () => {
      const key = `${newFolder()}/dated`;
      await put(key);
      const first = await store.modifiedAt(key, unending);
      // Stores tell whole seconds, and by a clock of their own.
      expect(Math.abs(Date.now() - Number(first))).toBeLessThan(60_000);
      await put(key, 'again');
      expect(Number(await bench.replica.modifiedAt(key, unending))).toBeGreaterThanOrEqual(
        Number(first),
      );
      expect(await store.modifiedAt(`${key}-missing`, unending)).toBeUndefined();
    });

    test('keeps an empty record apart from a missing one', async () => {
      const folder = newFolder();
      await store.put(`${folder}/empty`, Buffer.alloc(0), unending);
      expect((await store.get(`${folder}/empty`, unending))?.length).toBe(0);
      expect(await store.get(`${folder}/missing`, unending)).toBeUndefined();
      expect(await store.get(`${folder}/missing/deeper/still`, unending)).toBeUndefined();
    });

    test('replaces a record, by a longer one and by a shorter one', async () => {
      const key = `${newFolder()}/record`;
      for (const bytes of [
        patternBytes(100, 1),
        patternBytes(9000, 2),
        patternBytes(5, 3),
        Buffer.alloc(0),
      ]) {
        await store.put(key, bytes, unending);
        expect((await bench.replica.get(key, unending))?.equals(bytes)).toBe(true);
      }
    });

    test.each([4095, 4096, 4097, 65_536, 65_537, 4 * 1024 * 1024])(
      'gives back a record of %i bytes',
      async (length) => {
        const key = `${newFolder()}/record`;
        const bytes = patternBytes(length, length);
        await store.put(key, bytes, unending);
        expect((await store.get(key, unending))?.equals(bytes)).toBe(true);
      },
    );

    test('refuses to read a record of more than 4 MiB', async () => {
      const key = `${newFolder()}/large`;
      await store.put(key, patternBytes(4 * 1024 * 1024 + 1, 1), unending);
      await expect(store.get(key, unending)).rejects.toThrow(StorageError);
    });

    test('always shows one whole version while a record is replaced', async () => {
      const key = `${newFolder()}/record`;
      const versions = [1, 2, 3, 4].map((seed) => patternBytes(20_000 + seed, seed));
      await store.put(key, versions[0]!, unending);
      const writing = { isDone: false };
      const reader = (async () => {
        while (!writing.isDone) {
          const bytes = await bench.replica.get(key, unending);
          expect(versions.some((version) => bytes?.equals(version))).toBe(true);
        }
      })();
      for (let round = 0; round < 5; round += 1) {
        await Promise.all(versions.map((version) => store.put(key, version, unending)));
      }
      writing.isDone = true;
      await reader;
    });

    test('deletes a record, and a missing one without complaint', async () => {
      const folder = newFolder();
      await put(`${folder}/a/link`);
      await put(`${folder}/b/link`);
      await store.delete(`${folder}/a/link`, unending);
      await store.delete(`${folder}/a/link`, unending);
      await store.delete(`${folder}/never/was/here`, unending);
      expect(await bench.replica.get(`${folder}/a/link`, unending)).toBeUndefined();
      expect(await bench.replica.get(`${folder}/b/link`, unending)).toBeDefined();
    });

    test('takes a folder for no record: it is not read and not deleted as one', async () => {
      const folder = newFolder();
      await put(`${folder}/a/link`);
      expect(await store.get(`${folder}/a`, unending)).toBeUndefined();
      await store.delete(`${folder}/a`, unending);
      expect(await store.get(`${folder}/a/link`, unending)).toBeDefined();
    });

    test('takes a record for no folder', async () => {
      const folder = newFolder();
      await put(`${folder}/record`);
      expect(await names(`${folder}/record`)).toEqual([]);
      expect(await store.get(`${folder}/record/below`, unending)).toBeUndefined();
      await store.delete(`${folder}/record/below`, unending);
      expect(await names(folder)).toEqual(['record']);
    });

    test('lists immediate children once, sorted by the bytes of their names', async () => {
      const folder = newFolder();
      const children = ['a', 'aa', 'a-b', 'a.b', 'a_b', 'a0', '_a', 'b', 'z~'];
      if (bench.isCaseSensitive) children.push('A', 'B-');
      for (const child of children) {
        await put(`${folder}/${child}/current/link`);
        await put(`${folder}/${child}/index/sha256/0/link`);
      }
      await put(`${folder}/record-1`);
      await put(`${folder}/Record-0`);
      const sorted = [...children, 'record-1', 'Record-0'].sort((a, b) =>
        Buffer.compare(Buffer.from(a), Buffer.from(b)),
      );
      const listed = await bench.replica.list(folder, {}, unending);
      expect(listed.map((child) => child.name)).toEqual(sorted);
      expect(listed.filter((child) => !child.isFolder).map((child) => child.name)).toEqual([
        'Record-0',
        'record-1',
      ]);
    });

    test('does not list the children of a folder whose name only begins alike', async () => {
      const folder = newFolder();
      await put(`${folder}/tag/current/link`);
      await put(`${folder}/tag-1/current/link`);
      await put(`${folder}/tagged`);
      expect(await names(`${folder}/tag`)).toEqual(['current']);
      expect(await names(`${folder}/ta`)).toEqual([]);
    });

    test('lists a missing folder as empty', async () => {
      expect(await names(`${newFolder()}/nothing`)).toEqual([]);
    });

    test('shows a name that is a record and a folder as a folder, once', async () => {
      if (!bench.isFlat) return;
      const folder = newFolder();
      await put(`${folder}/both`);
      await put(`${folder}/both-`);
      await put(`${folder}/both/below`);
      expect(await store.list(folder, {}, unending)).toEqual([
        { name: 'both', isFolder: true },
        { name: 'both-', isFolder: false },
      ]);
      expect((await store.get(`${folder}/both`, unending))?.toString()).toBe(`${folder}/both`);
    });

    test('stops listing after about the limit, and gives all when the limit is not reached', async () => {
      const folder = newFolder();
      const all = Array.from({ length: 12 }, (_, i) => `child-${String(i).padStart(2, '0')}`);
      for (const child of all) await put(`${folder}/${child}/link`);
      const some = await store.list(folder, { limit: 1 }, unending);
      expect(some.length).toBeGreaterThanOrEqual(1);
      expect(some.length).toBeLessThan(all.length);
      for (const child of some) {
        expect(all).toContain(child.name);
        expect(child.isFolder).toBe(true);
      }
      const five = (await store.list(folder, { limit: 5 }, unending)).map((child) => child.name);
      expect(five.length).toBeGreaterThanOrEqual(5);
      expect(five).toEqual([...five].sort());
      const listed = await store.list(folder, { limit: 100 }, unending);
      expect(listed.map((child) => child.name)).toEqual(all);
    });

    test('lists the first records after a name, whether it is one of theirs or not', async () => {
      const folder = newFolder();
      const all = ['a', 'a-b', 'a.b', 'a_b', 'ab', 'b', 'b0', 'b00'].sort();
      for (const child of all) await put(`${folder}/${child}`);
      for (const after of ['', ...all, '0', 'a-', 'aa', 'zz']) {
        const rest = all.filter((name) => name > after);
        for (const limit of [1, 2, all.length + 1, undefined]) {
          const options = { after, ...(limit !== undefined && { limit }) };
          const listed = (await store.list(folder, options, unending)).map(({ name }) => name);
          expect({ after, limit, listed }).toEqual({ after, limit, listed: rest.slice(0, limit) });
        }
      }
    });

    test('lists more children than one page of an object store holds', async () => {
      const folder = newFolder();
      const all = Array.from({ length: 1101 }, (_, i) => `r${String(i).padStart(5, '0')}`);
      for (let from = 0; from < all.length; from += 50) {
        await Promise.all(all.slice(from, from + 50).map((child) => put(`${folder}/${child}`)));
      }
      expect(await names(folder)).toEqual(all);
      await store.deleteTree(folder, unending);
      expect(await names(folder)).toEqual([]);
    });

    test('forgets a folder with its last record', async () => {
      const folder = newFolder();
      await put(`${folder}/tags/one/current/link`);
      await put(`${folder}/tags/two/current/link`);
      await store.delete(`${folder}/tags/one/current/link`, unending);
      expect(await names(`${folder}/tags`)).toEqual(['two']);
      await store.delete(`${folder}/tags/two/current/link`, unending);
      expect(await names(folder)).toEqual([]);
    });

    test('deletes a tree: the folder itself vanishes, its neighbours stay', async () => {
      const folder = newFolder();
      await put(`${folder}/tags/v1/current/link`);
      await put(`${folder}/tags/v1/index/sha256/0/link`);
      await put(`${folder}/tags/v1/index/sha256/1/link`);
      await put(`${folder}/tags/v10/current/link`);
      await put(`${folder}/tags/v1-rc/current/link`);
      await put(`${folder}/tags/v1.0/current/link`);
      await store.deleteTree(`${folder}/tags/v1`, unending);
      expect(await names(`${folder}/tags`)).toEqual(['v1-rc', 'v1.0', 'v10']);
      expect(await store.get(`${folder}/tags/v1/current/link`, unending)).toBeUndefined();
      await store.deleteTree(`${folder}/tags/v1`, unending);
      await store.deleteTree(`${folder}/nothing/here`, unending);
      expect(await bench.replica.get(`${folder}/tags/v10/current/link`, unending)).toBeDefined();
    });

    test('loses no record to the deletion of its neighbours at the same time', async () => {
      const folder = newFolder();
      for (let round = 0; round < 10; round += 1) {
        await Promise.all([
          put(`${folder}/x/kept-${round}`),
          put(`${folder}/x/y/dropped-${round}`).then(() =>
            store.delete(`${folder}/x/y/dropped-${round}`, unending),
          ),
          bench.replica.deleteTree(`${folder}/x/z`, unending),
          put(`${folder}/x/z-${round}/deep/record`),
        ]);
        await Promise.all([
          store.delete(`${folder}/x/kept-${round}`, unending),
          put(`${folder}/x/other-${round}`),
        ]);
        expect(await bench.replica.get(`${folder}/x/other-${round}`, unending)).toBeDefined();
        expect(await store.get(`${folder}/x/kept-${round}`, unending)).toBeUndefined();
        await store.delete(`${folder}/x/other-${round}`, unending);
        expect(
          await bench.replica.get(`${folder}/x/z-${round}/deep/record`, unending),
        ).toBeDefined();
        await store.delete(`${folder}/x/z-${round}/deep/record`, unending);
      }
      expect(await names(folder)).toEqual([]);
    });

    test('takes many puts into one new folder at once', async () => {
      const folder = `${newFolder()}/not/there/yet`;
      const all = Array.from({ length: 16 }, (_, i) => `record-${String(i).padStart(2, '0')}`);
      await Promise.all(all.map((record) => put(`${folder}/${record}`)));
      expect(await names(folder)).toEqual(all);
    });

    test('refuses keys that leave the root of the store', async () => {
      for (const key of ['../outside', 'a/../../outside', '/absolute', 'a//b', 'a/./b', 'a/', '']) {
        await expect(put(key, 'x')).rejects.toThrow(/key/);
        await expect(store.get(key, unending)).rejects.toThrow(/key/);
        await expect(store.delete(key, unending)).rejects.toThrow(/key/);
        await expect(store.deleteTree(key, unending)).rejects.toThrow(/key/);
      }
    });

    test('does nothing when the signal has aborted already', async () => {
      const folder = newFolder();
      await put(`${folder}/record`);
      const aborted = AbortSignal.abort(new Error('the client is gone'));
      await expect(store.get(`${folder}/record`, aborted)).rejects.toBeDefined();
      await expect(store.put(`${folder}/new`, Buffer.from('x'), aborted)).rejects.toBeDefined();
      await expect(store.delete(`${folder}/record`, aborted)).rejects.toBeDefined();
      await expect(store.deleteTree(folder, aborted)).rejects.toBeDefined();
      await expect(store.list(folder, {}, aborted)).rejects.toBeDefined();
      expect(await names(folder)).toEqual(['record']);
    });
  });
}
