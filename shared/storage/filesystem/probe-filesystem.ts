import { randomUUID } from 'node:crypto';
import {
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { StorageError } from '../errors.ts';
import { blobsFolder, ownFolder, repositoriesFolder } from '../object-keys.ts';
import { TEMP_FOLDER } from './durable-files.ts';
import { syncFolder } from './folder-syncs.ts';
import { asStorageError, isAbsence, systemCode, unlessAbsent } from './filesystem-errors.ts';

/** What the file system under the data really does. */
export interface FilesystemTraits {
  /** False where `Tag` and `tag` are one file: two tags that differ in case alone would be one. */
  readonly isCaseSensitive: boolean;
  /** False where folders cannot be synchronised: a power failure may then lose acknowledged pushes. */
  readonly supportsFsync: boolean;
}

/** Nothing writes to a temporary file this long after its last byte. */
const TEMP_LIFE_MS = 24 * 60 * 60 * 1000;

/**
 * Makes the root folder, proves that it can be written, finds what its file system guarantees, and removes temporary
 * files that a crash left a day ago. Throws StorageError with the reason when the root cannot be used, also because parts
 * of it are on different file systems.
 */
export async function probeFilesystem(
  root: string,
  signal: AbortSignal,
): Promise<FilesystemTraits> {
  signal.throwIfAborted();
  const temp = join(root, TEMP_FOLDER);
  const probe = join(temp, `Probe-${randomUUID()}`);
  try {
    const first = await mkdir(temp, { recursive: true });
    if (first !== undefined) await syncFolder(dirname(first));
    await writeFile(probe, 'twinport', { flag: 'wx' });
    const handle = await open(probe, 'r');
    await handle.sync().finally(() => handle.close());
    // The file system's own clock, which is not ours on a network.
    const now = (await lstat(probe)).mtimeMs;
    const other = await unlessAbsent(lstat(join(temp, basename(probe).toLowerCase())));
    const supportsFsync = await syncFolder(temp);
    await requireOneFileSystem(root, probe);
    await rm(probe, { force: true });
    await sweepTemp(temp, new Date(now - TEMP_LIFE_MS));
    return { isCaseSensitive: other === undefined, supportsFsync };
  } catch (error) {
    await rm(probe, { force: true }).catch(() => undefined);
    if (error instanceof SplitStoreError) throw error;
    const fault = asStorageError('storage.prepare', error);
    throw fault instanceof StorageError
      ? new StorageError('storage.prepare', `the data folder ${root} cannot be used`, fault)
      : fault;
  }
}

/** Folders of one store are on different file systems, where nothing can be moved from one to the other at once. */
class SplitStoreError extends StorageError {
  override readonly name = 'SplitStoreError';
}

/** Moves the probe through every part of the store, as unfinished files are moved to where they belong. */
async function requireOneFileSystem(root: string, probe: string): Promise<void> {
  for (const folder of [repositoriesFolder, blobsFolder, ownFolder]) {
    const target = await nearestFolder(root, folder);
    const moved = join(target, `.${basename(probe)}`);
    try {
      await rename(probe, moved);
    } catch (error) {
      // Another process removed the folder with its last record: it is made anew beside the probe.
      if (isAbsence(error)) continue;
      if (systemCode(error) !== 'EXDEV') throw error;
      throw new SplitStoreError(
        'storage.prepare',
        `${await realpath(target)} is on another file system than ${dirname(probe)}: everything below DATA_DIR ` +
          `(${root}) has to be on one, so mount that one there as a whole instead of linking parts of it`,
        error,
      );
    }
    await rename(moved, probe);
  }
}

/** The folder of the store, or the nearest one above it that there is. */
async function nearestFolder(root: string, folder: string): Promise<string> {
  const path = join(root, folder);
  if (folder === '.' || (await unlessAbsent(stat(path)))?.isDirectory() === true) return path;
  return await nearestFolder(root, dirname(folder));
}

/** Removes temporary files and trees that were last written before `before`. */
export async function sweepTemp(temp: string, before: Date): Promise<void> {
  for (const name of (await unlessAbsent(readdir(temp))) ?? []) {
    const path = join(temp, name);
    const found = await unlessAbsent(stat(path));
    if (found && found.mtime < before) await rm(path, { recursive: true, force: true });
  }
}
