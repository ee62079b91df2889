import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs';
import {
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { LRUCache } from 'lru-cache';

import { requireKey } from '../require-key.ts';
import { writeFully } from './file-sink.ts';
import { isAbsence, systemCode, unlessAbsent } from './filesystem-errors.ts';
import { FolderSyncs } from './folder-syncs.ts';
import { PromptCalls } from './prompt-calls.ts';

const datasyncFile = promisify(fdatasync);

/** Where unfinished files stand: on the file system of the data, and in no folder that anybody lists. */
export const TEMP_FOLDER = 'twinport/tmp';

/** How often a folder may vanish under a writer, because another removed its last record, before that is a fault. */
const MAX_RACES = 100;
/** What is written without the thread pool: links and other small records. */
const IN_PLACE_BYTES = 16 * 1024;
/** Another file system, or one that gives no file a second name, or not to us. */
const NO_LINKS: ReadonlySet<string> = new Set([
  'EXDEV',
  'EPERM',
  'EACCES',
  'EMLINK',
  'ENOTSUP',
  'ENOSYS',
]);
/** Folders remembered as durable; one entry takes about 200 bytes. */
const REMEMBERED_FOLDERS = 20_000;

/** The temporary file of a `publish` is not there any more. */
export class TempFileGoneError extends Error {
  override readonly name = 'TempFileGoneError';
}

/**
 * Files below one root that appear by a rename and are on disk before the promise resolves: the file is synchronised,
 * renamed, then the folder that names it and each folder above that is not known to be durable yet are synchronised, all
 * at once. What only changes names is done in place where that is quick; what waits for the disk never is.
 */
export class DurableFiles {
  readonly root: string;
  readonly tempRoot: string;
  readonly calls = new PromptCalls();
  readonly #syncs = new FolderSyncs(this.calls);
  /** Folders whose own name is on disk, as is that of each folder above. */
  readonly #durable = new LRUCache<string, true>({ max: REMEMBERED_FOLDERS });

  constructor(root: string) {
    this.root = resolve(root);
    this.tempRoot = join(this.root, TEMP_FOLDER);
  }

  /** Finds out, once and beside what goes on, whether names may be changed in place. */
  prepareOnce(): void {
    this.calls.prepareOnce(this.root);
  }

  /** The path of a key; throws when the key would leave the root. */
  path(key: string): string {
    return join(this.root, requireKey(key));
  }

  /** A new file for writing under a temporary name. Whoever opened it closes it and publishes or drops it. */
  async openTemp(): Promise<{ path: string; handle: FileHandle }> {
    const path = join(this.tempRoot, randomUUID());
    const create = (): Promise<FileHandle> => open(path, 'wx');
    const handle = await create().catch(async (error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
      await mkdir(this.tempRoot, { recursive: true });
      return create();
    });
    return { path, handle };
  }

  /**
   * A temporary file with the bytes of a file from elsewhere: that file by another name where both are on one file
   * system, else a copy that the system makes. Whoever asked publishes or drops it.
   */
  async adoptTemp(source: string): Promise<string> {
    const path = join(this.tempRoot, randomUUID());
    await mkdir(this.tempRoot, { recursive: true });
    try {
      await link(source, path);
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined || !NO_LINKS.has(code)) throw error;
      const how = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE;
      await copyFile(source, path, how).catch(async (fault: unknown) => {
        await this.drop(path);
        throw fault;
      });
    }
    return path;
  }

  /** Puts bytes under a key, whole or not at all. */
  async write(key: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
    this.prepareOnce();
    const isSmall = bytes.length <= IN_PLACE_BYTES && this.calls.arePrompt;
    const path = await (isSmall ? this.#writeInPlace(bytes) : this.#writeElsewhere(bytes));
    try {
      signal.throwIfAborted();
      await this.publish(path, key);
    } catch (error) {
      await this.drop(path);
      throw error;
    }
  }

  /** A synchronised temporary file; the thread pool is asked for the synchronisation alone. */
  async #writeInPlace(bytes: Buffer): Promise<string> {
    const path = join(this.tempRoot, randomUUID());
    const file = this.calls.make(() => {
      try {
        return openSync(path, 'wx');
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error;
        mkdirSync(this.tempRoot, { recursive: true });
        return openSync(path, 'wx');
      }
    });
    try {
      try {
        this.calls.make(() => {
          for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
        });
        await datasyncFile(file);
      } finally {
        closeSync(file);
      }
      return path;
    } catch (error) {
      await this.drop(path);
      throw error;
    }
  }

  async #writeElsewhere(bytes: Buffer): Promise<string> {
    const { path, handle } = await this.openTemp();
    try {
      try {
        if (bytes.length > 0) await writeFully(handle, [bytes]);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      return path;
    } catch (error) {
      await this.drop(path);
      throw error;
    }
  }

  /**
   * Renames a closed and synchronised file to its key, replacing what is there, and makes that durable. Throws
   * TempFileGoneError when another took the file away.
   */
  async publish(tempPath: string, key: string): Promise<void> {
    const target = this.path(key);
    const folder = dirname(target);
    for (let race = 0; ; race += 1) {
      try {
        await this.rename(tempPath, target);
        break;
      } catch (error) {
        if (systemCode(error) !== 'ENOENT' || race >= MAX_RACES) throw error;
        if (race > 0 && (await unlessAbsent(lstat(tempPath))) === undefined) {
          throw new TempFileGoneError('the temporary file is gone', { cause: error });
        }
      }
      await this.makeFolder(folder);
    }
    await this.#syncUpwards(folder);
  }

  /** rename(2). Durable when the folder that names it is synchronised. */
  async rename(from: string, to: string): Promise<void> {
    await this.calls.either(
      () => {
        renameSync(from, to);
      },
      () => rename(from, to),
    );
  }

  /** Makes durable that a file which stands under a key does so. */
  async confirm(key: string): Promise<void> {
    await this.#syncUpwards(dirname(this.path(key)));
  }

  /** Makes a folder and those above it; nothing of it is durable yet. */
  async makeFolder(folder: string): Promise<void> {
    for (let race = 0; ; race += 1) {
      try {
        const first = await this.calls.either(
          () => mkdirSync(folder, { recursive: true }),
          () => mkdir(folder, { recursive: true }),
        );
        if (first !== undefined) this.#forgetFrom(first, folder);
        return;
      } catch (error) {
        // Another removed an empty folder above while this one was being made. Node says ENOTDIR or EEXIST for that
        // too, when the folder goes between its two looks; where a file stands in the way, that stays.
        if (race >= MAX_RACES || (await isBlocked(folder, error))) throw error;
      }
    }
  }

  /** Removes a file and the folders that it leaves empty, at most `levels` of them, durably. False: was not there. */
  async remove(key: string, levels = Infinity): Promise<boolean> {
    const path = this.path(key);
    try {
      await unlink(path);
    } catch (error) {
      if (isAbsence(error)) return false;
      // A folder has no bytes of its own. Linux says EISDIR, POSIX and macOS EPERM.
      const isFolder = async (): Promise<boolean> => (await lstat(path)).isDirectory();
      const code = systemCode(error);
      if (code === 'EISDIR' || (code === 'EPERM' && (await isFolder()))) return false;
      throw error;
    }
    await this.#syncs.sync(await this.#prune(dirname(path), levels));
    return true;
  }

  /**
   * Removes a folder with all that is below it: it vanishes by one rename, then its files are removed. `isDurable`:
   * wait until the disk knows.
   */
  async removeTree(key: string, isDurable: boolean): Promise<boolean> {
    const path = this.path(key);
    const grave = join(this.tempRoot, randomUUID());
    // The slash at the end keeps a file of that name from being taken for a folder.
    const bury = (): Promise<void> => rename(`${path}/`, grave);
    try {
      await bury();
    } catch (error) {
      if (!isAbsence(error)) throw error;
      if ((await unlessAbsent(lstat(`${path}/`))) === undefined) return false;
      await mkdir(this.tempRoot, { recursive: true });
      if ((await unlessAbsent(bury().then(() => true))) === undefined) return false;
    }
    this.#forgetFrom(path, path);
    const survivor = await this.#prune(dirname(path), Infinity);
    if (isDurable) await this.#syncs.sync(survivor);
    // The folder is gone by now; what cannot be removed under its other name is left to the sweep.
    await rm(grave, { recursive: true, force: true }).catch(() => undefined);
    return true;
  }

  /** Removes a temporary file; what cannot be removed now is left to the sweep. */
  async drop(tempPath: string): Promise<void> {
    await unlink(tempPath).catch(() => undefined);
  }

  /** Removes folders that are empty, upwards from `folder`; returns the first that stays. */
  async #prune(folder: string, levels: number): Promise<string> {
    let current = folder;
    for (let level = 0; level < levels && current !== this.root; level += 1) {
      try {
        await rmdir(current);
      } catch (error) {
        const code = systemCode(error);
        if (code === undefined) throw error;
        // Not empty, or not ours to remove: it stays. Gone already: go on above it.
        if (code !== 'ENOENT') break;
      }
      this.#durable.delete(current);
      current = dirname(current);
    }
    return current;
  }

  /** In no order: whoever waits is told of none of it before all of it is on disk. */
  async #syncUpwards(folder: string): Promise<void> {
    const children: string[] = [];
    for (let child = folder; child !== this.root && !this.#durable.has(child);) {
      children.push(child);
      child = dirname(child);
    }
    const folders = new Set([folder, ...children.map((child) => dirname(child))]);
    await Promise.all([...folders].map((one) => this.#syncs.sync(one)));
    for (const child of children) this.#durable.set(child, true);
  }

  /** Nothing is known any more of the folders from `first` down to `last`: they are new. */
  #forgetFrom(first: string, last: string): void {
    for (let folder = last; folder.length >= first.length; folder = dirname(folder)) {
      this.#durable.delete(folder);
      if (folder === dirname(folder)) return;
    }
  }
}

async function isBlocked(folder: string, error: unknown): Promise<boolean> {
  const code = systemCode(error);
  if (code === 'ENOENT') return false;
  if (code !== 'ENOTDIR' && code !== 'EEXIST') return true;
  try {
    return !(await stat(folder)).isDirectory();
  } catch (statError) {
    return systemCode(statError) !== 'ENOENT';
  }
}
