import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { runTrials, type StoreFindings } from '../store-findings.ts';
import { TEMP_FOLDER } from './durable-files.ts';
import { asStorageError, systemCode } from './filesystem-errors.ts';
import type { FilesystemTraits } from './probe-filesystem.ts';

/** The longest name that a key has: one segment of a repository's name, or a sha512 digest or tag of 128. */
const LONGEST_NAME = 255;

/**
 * Finds out what the file system below the data guarantees, beyond what was seen when the folder was prepared. Leaves
 * nothing behind; what a crash leaves goes with other temporary files. Throws StorageError when it cannot be written.
 */
export async function probeFolder(
  root: string,
  { isCaseSensitive, supportsFsync }: FilesystemTraits,
): Promise<StoreFindings> {
  const folder = join(root, TEMP_FOLDER, `probe-${randomUUID()}`);
  const at = (name: string): string => join(folder, name);
  try {
    await mkdir(folder);
    const findings = await runTrials([
      { trait: 'case-sensitive', run: () => Promise.resolve(isCaseSensitive) },
      { trait: 'folders-synchronised', run: () => Promise.resolve(supportsFsync) },
      {
        trait: 'read-after-write',
        run: async () => {
          for (const text of ['first', 'second']) {
            await writeFile(at('written'), text);
            if ((await readFile(at('written'), 'utf8')) !== text) return false;
          }
          return true;
        },
      },
      {
        trait: 'list-after-write',
        run: async () => {
          await mkdir(at('listed'));
          await writeFile(at('listed/one'), 'x');
          return (await readdir(at('listed'))).join() === 'one';
        },
      },
      {
        trait: 'rename-replaces',
        run: async () => {
          await writeFile(at('renamed'), 'old');
          const reader = await open(at('renamed'));
          try {
            await writeFile(at('renaming'), 'new');
            await rename(at('renaming'), at('renamed'));
            const old = await reader.readFile('utf8');
            return old === 'old' && (await readFile(at('renamed'), 'utf8')) === 'new';
          } finally {
            await reader.close();
          }
        },
      },
      {
        trait: 'create-if-absent',
        run: async () => {
          await writeFile(at('created'), 'x', { flag: 'wx' });
          const second = writeFile(at('created'), 'y', { flag: 'wx' });
          return await second.then(
            () => false,
            (error: unknown) => systemCode(error) === 'EEXIST',
          );
        },
      },
      {
        trait: 'long-names',
        run: () =>
          writeFile(at('n'.repeat(LONGEST_NAME)), 'x').then(
            () => true,
            () => false,
          ),
      },
    ]);
    return { isWritable: true, findings };
  } catch (error) {
    throw asStorageError('store.probe', error);
  } finally {
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}
