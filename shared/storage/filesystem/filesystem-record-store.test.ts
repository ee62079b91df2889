import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { StorageError } from '../errors.ts';
import { unending } from '../testing/contract-support.ts';
import { FilesystemRecordStore } from './filesystem-record-store.ts';

describe('FilesystemRecordStore', () => {
  let parent: string;
  let root: string;
  let store: FilesystemRecordStore;
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'twinport-records-'));
    root = join(parent, 'some', 'data');
    store = new FilesystemRecordStore(root);
  });
  afterEach(async () => {
    await rm(parent, { recursive: true });
  });
  const put = (key: string): Promise<void> => store.put(key, Buffer.from(key), unending);

  test('touches nothing before it is used', async () => {
    expect(await readdir(parent)).toEqual([]);
    expect(await store.get('a/b', unending)).toBeUndefined();
    expect(await store.list('a', {}, unending)).toEqual([]);
    expect(await readdir(parent)).toEqual([]);
  });

  test('makes its root and tells what the file system does', async () => {
    const traits = await store.prepare(unending);
    expect(typeof traits.isCaseSensitive).toBe('boolean');
    expect(traits.supportsFsync).toBe(true);
    expect(await readdir(join(root, 'twinport', 'tmp'))).toEqual([]);
    await put('a/b');
    expect(await store.prepare(unending)).toEqual(traits);
    expect((await store.get('a/b', unending))?.toString()).toBe('a/b');
  });

  test('says which folder cannot be used, and why', async () => {
    await writeFile(join(parent, 'some'), 'a file where a folder should be');
    const error: unknown = await store.prepare(unending).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StorageError);
    expect((error as StorageError).message).toContain(root);
    expect(String((error as StorageError).cause)).toMatch(/ENOTDIR|EEXIST/);
  });

  test('does not start when a part of the store is linked to another file system, and names it', async () => {
    const elsewhere = await mkdtemp('/dev/shm/twinport-records-');
    try {
      const isOther = (await stat(elsewhere)).dev !== (await stat(parent)).dev;
      expect(isOther).toBe(true);
      await mkdir(root, { recursive: true });
      await symlink(elsewhere, join(root, 'docker'));
      const error: unknown = await store.prepare(unending).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(StorageError);
      expect((error as StorageError).message).toContain(elsewhere);
      expect((error as StorageError).message).toContain('DATA_DIR');
      expect(await readdir(join(root, 'twinport', 'tmp'))).toEqual([]);
      await rm(join(root, 'docker'));
      const nearby = join(parent, 'nearby');
      await mkdir(nearby);
      await symlink(nearby, join(root, 'docker'));
      await store.prepare(unending);
      await put('docker/a');
      expect(await readdir(nearby)).toEqual(['a']);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  test('removes temporary files of yesterday when it starts, and none of today', async () => {
    await store.prepare(unending);
    const temp = join(root, 'twinport', 'tmp');
    await writeFile(join(temp, 'today'), 'x');
    await writeFile(join(temp, 'yesterday'), 'x');
    await mkdir(join(temp, 'tree', 'below'), { recursive: true });
    const old = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await utimes(join(temp, 'yesterday'), old, old);
    await utimes(join(temp, 'tree'), old, old);
    await store.prepare(unending);
    expect(await readdir(temp)).toEqual(['today']);
  });

  test('never lists its temporary files', async () => {
    await store.prepare(unending);
    await put('twinport/v1/record');
    expect(await store.list('twinport', {}, unending)).toEqual([{ name: 'v1', isFolder: true }]);
    expect(await store.list('twinport', { limit: 1 }, unending)).toHaveLength(1);
  });

  test('counts symbolic links as what they lead to', async () => {
    await put('docker/here/record');
    await mkdir(join(parent, 'elsewhere'));
    await symlink(join(parent, 'elsewhere'), join(root, 'docker', 'there'));
    await symlink(join(parent, 'nowhere'), join(root, 'docker', 'void'));
    expect(await store.list('docker', {}, unending)).toEqual([
      { name: 'here', isFolder: true },
      { name: 'there', isFolder: true },
      { name: 'void', isFolder: false },
    ]);
  });

  test('fails as a store, and leaves no temporary file, where a folder stands in the way', async () => {
    await put('a/b/c');
    await expect(put('a/b')).rejects.toThrow(StorageError);
    await expect(put('a/b/c/d')).rejects.toThrow(StorageError);
    expect(await readdir(join(root, 'twinport', 'tmp'))).toEqual([]);
    expect((await store.get('a/b/c', unending))?.toString()).toBe('a/b/c');
  });

  test('takes a name that no file can have for a missing record', async () => {
    const key = `a/${'x'.repeat(300)}`;
    expect(await store.get(key, unending)).toBeUndefined();
    await store.delete(key, unending);
    await expect(put(key)).rejects.toThrow(StorageError);
  });

  test('never fails because another replica removes the folders that it is making', async () => {
    const replicas = [1, 2, 3].map(() => new FilesystemRecordStore(root));
    await Promise.all(
      Array.from({ length: 9 }, async (_, worker) => {
        const mine = replicas[worker % 3]!;
        for (let round = 0; round < 60; round += 1) {
          const key = `a/b/c${round % 2}/d/record-${worker}`;
          await mine.put(key, Buffer.from(key), unending);
          expect((await mine.get(key, unending))?.toString()).toBe(key);
          await mine.delete(key, unending);
        }
      }),
    );
    expect(await store.list('a', {}, unending)).toEqual([]);
  });

  test('leaves the root when its last record goes', async () => {
    await put('a/b/c');
    await store.delete('a/b/c', unending);
    expect(await readdir(root)).toEqual(['twinport']);
  });

  test('reports a file that it may not read as a fault, not as absence', async () => {
    await put('a/b');
    await chmod(join(root, 'a', 'b'), 0);
    // The superuser may read everything; there is nothing to see then.
    if (process.getuid?.() === 0) return;
    await expect(store.get('a/b', unending)).rejects.toThrow(StorageError);
  });
});
