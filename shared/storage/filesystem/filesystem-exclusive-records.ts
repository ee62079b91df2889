import { link } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { ExclusiveRecords } from '../exclusive-records.ts';
import { DurableFiles } from './durable-files.ts';
import { guarded, systemCode } from './filesystem-errors.ts';

/** How often a folder may vanish under a writer before that is a fault. */
const MAX_RACES = 100;

/**
 * Records that appear whole by link(2), which takes no name that is taken: on one machine and over NFS alike. A file
 * system without hard links (FAT) is not relied upon.
 */
export class FilesystemExclusiveRecords implements ExclusiveRecords {
  readonly #files: DurableFiles;
  #isReliable: Promise<boolean> | undefined;

  constructor(root: string) {
    this.#files = new DurableFiles(root);
  }

  async isReliable(signal: AbortSignal): Promise<boolean> {
    this.#isReliable ??= guarded('record.create', signal, () => this.#hasLinks()).catch(
      (error: unknown) => {
        this.#isReliable = undefined;
        throw error;
      },
    );
    return await this.#isReliable;
  }

  create(key: string, bytes: Buffer, signal: AbortSignal): Promise<boolean> {
    return guarded('record.create', signal, async () => {
      const { path, handle } = await this.#files.openTemp();
      try {
        try {
          await handle.writeFile(bytes);
          await handle.datasync();
        } finally {
          await handle.close();
        }
        if (!(await this.#link(path, this.#files.path(key)))) return false;
        await this.#files.confirm(key);
        return true;
      } finally {
        await this.#files.drop(path);
      }
    });
  }

  /** False when the name is taken. */
  async #link(from: string, to: string): Promise<boolean> {
    for (let race = 0; ; race += 1) {
      try {
        await link(from, to);
        return true;
      } catch (error) {
        const code = systemCode(error);
        if (code === 'EEXIST') return false;
        if (code !== 'ENOENT' || race >= MAX_RACES) throw error;
      }
      await this.#files.makeFolder(dirname(to));
    }
  }

  async #hasLinks(): Promise<boolean> {
    const { path, handle } = await this.#files.openTemp();
    await handle.close();
    const other = `${path}-link`;
    try {
      await link(path, other);
      return await link(path, other).then(
        () => false,
        (error: unknown) => systemCode(error) === 'EEXIST',
      );
    } catch (error) {
      if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(systemCode(error) ?? '')) {
        return false;
      }
      throw error;
    } finally {
      await this.#files.drop(other);
      await this.#files.drop(path);
    }
  }
}
