import type { Dirent } from 'node:fs';
import { open, opendir, readdir, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { StorageError } from '../errors.ts';
import type { ListOptions, RecordChild, RecordStore } from '../record-store.ts';
import { DurableFiles, TEMP_FOLDER } from './durable-files.ts';
import { guarded, isAbsence, systemCode, unlessAbsent } from './filesystem-errors.ts';
import { type PromptRead, PromptReads } from './prompt-reads.ts';
import { probeFilesystem, type FilesystemTraits } from './probe-filesystem.ts';

/** Links are 71 bytes; nearly every record fits into the first read. */
const FIRST_READ_BYTES = 4096;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Records as files below a root folder. A put is on disk, with the folders that name it, before it resolves. Folders
 * vanish with their last record, as in an object store. The constructor touches nothing.
 */
export class FilesystemRecordStore implements RecordStore {
  readonly #files: DurableFiles;
  readonly #promptReads = new PromptReads(FIRST_READ_BYTES);

  constructor(root: string) {
    this.#files = new DurableFiles(root);
  }

  /** Makes the root when it is missing and finds what its file system guarantees. Throws StorageError. */
  async prepare(signal: AbortSignal): Promise<FilesystemTraits> {
    const traits = await probeFilesystem(this.#files.root, signal);
    await this.#promptReads.prepare(this.#files.root);
    return traits;
  }

  get(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    return guarded('record.get', signal, async () => {
      const path = this.#files.path(key);
      const prompt = unlessFolder(() => this.#promptReads.read(path));
      if (prompt !== 'not now') return prompt.bytes;
      const handle = await unlessAbsent(open(path, 'r'));
      if (!handle) return undefined;
      try {
        return await readRecord(handle);
      } catch (error) {
        if (systemCode(error) === 'EISDIR') return undefined;
        throw error;
      } finally {
        await handle.close();
      }
    });
  }

  modifiedAt(key: string, signal: AbortSignal): Promise<Date | undefined> {
    return guarded('record.modifiedAt', signal, async () => {
      const found = await unlessAbsent(stat(this.#files.path(key)));
      return found?.isFile() === true ? found.mtime : undefined;
    });
  }

  put(key: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
    return guarded('record.put', signal, () => this.#files.write(key, bytes, signal));
  }

  delete(key: string, signal: AbortSignal): Promise<void> {
    return guarded('record.delete', signal, async () => {
      await this.#files.remove(key);
    });
  }

  deleteTree(folder: string, signal: AbortSignal): Promise<void> {
    return guarded('record.deleteTree', signal, async () => {
      await this.#files.removeTree(folder, true);
    });
  }

  list(
    folder: string,
    { limit = Infinity, after }: ListOptions,
    signal: AbortSignal,
  ): Promise<RecordChild[]> {
    return guarded('record.list', signal, async () => {
      const path = this.#files.path(folder);
      // A folder is not read in any order: the first after a name are known when all were seen.
      const entries = await readFolder(path, after === undefined ? limit : Infinity);
      signal.throwIfAborted();
      const children: RecordChild[] = [];
      for (const entry of entries) {
        if (`${folder}/${entry.name}` === TEMP_FOLDER) continue;
        if (after !== undefined && entry.name <= after) continue;
        children.push({ name: entry.name, isFolder: await isFolder(path, entry) });
      }
      // Keys are ASCII: the order of their UTF-16 units is the order of their bytes.
      children.sort((a, b) => (a.name < b.name ? -1 : 1));
      return after === undefined ? children : children.slice(0, limit);
    });
  }
}

/** A folder under the key is no record. */
function unlessFolder(read: () => PromptRead): PromptRead {
  try {
    return read();
  } catch (error) {
    if (systemCode(error) === 'EISDIR') return { bytes: undefined };
    throw error;
  }
}

async function readRecord(handle: FileHandle): Promise<Buffer> {
  const first = Buffer.allocUnsafe(FIRST_READ_BYTES);
  const { bytesRead } = await handle.read(first, 0, FIRST_READ_BYTES, 0);
  if (bytesRead < FIRST_READ_BYTES) return Buffer.from(first.subarray(0, bytesRead));
  const { size } = await handle.stat();
  if (size > MAX_BYTES) {
    throw new StorageError('record.get', `the record has ${size} bytes, more than ${MAX_BYTES}`);
  }
  const whole = Buffer.allocUnsafeSlow(size);
  first.copy(whole);
  for (let offset = FIRST_READ_BYTES; offset < size;) {
    const next = await handle.read(whole, offset, size - offset, offset);
    if (next.bytesRead === 0) throw new StorageError('record.get', 'the record shrank while read');
    offset += next.bytesRead;
  }
  return whole;
}

async function readFolder(path: string, limit: number): Promise<Dirent[]> {
  try {
    if (limit === Infinity) return await readdir(path, { withFileTypes: true });
    const entries: Dirent[] = [];
    // One more, since the folder of temporary files does not count.
    for await (const entry of await opendir(path)) {
      entries.push(entry);
      if (entries.length > limit) break;
    }
    return entries;
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}

/** Operators put folders elsewhere by symbolic links; those count as what they lead to. */
async function isFolder(path: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  const target = await unlessAbsent(stat(join(path, entry.name)));
  return target?.isDirectory() ?? false;
}
