import { close, closeSync, fsync, open, openSync } from 'node:fs';
import { promisify } from 'node:util';

import { StorageError } from '../errors.ts';
import { isAbsence, systemCode } from './filesystem-errors.ts';
import { PromptCalls } from './prompt-calls.ts';

const openFile = promisify(open);
const closeFile = promisify(close);
const fsyncFile = promisify(fsync);

/**
 * Makes the names in folders durable. One synchronisation of a folder serves all who asked before it began; who asks
 * while one runs waits for the next, since the disk may already have passed over what they did.
 */
export class FolderSyncs {
  readonly #calls: PromptCalls;
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Promise<void>>();

  constructor(calls: PromptCalls) {
    this.#calls = calls;
  }

  sync(folder: string): Promise<void> {
    const running = this.#running.get(folder);
    if (!running) return this.#start(folder);
    const waiting = this.#next.get(folder);
    if (waiting) return waiting;
    const start = (): Promise<void> => {
      this.#next.delete(folder);
      return this.#start(folder);
    };
    const next = running.then(start, start);
    this.#next.set(folder, next);
    return next;
  }

  async #start(folder: string): Promise<void> {
    const running = syncFolder(folder, this.#calls);
    this.#running.set(folder, running);
    try {
      await running;
    } finally {
      if (this.#running.get(folder) === running) this.#running.delete(folder);
    }
  }
}

/**
 * Makes the names in a folder durable. A folder that is gone was removed by another in the meantime. File systems that
 * cannot synchronise folders (some network ones) say EINVAL or ENOTSUP: false then; `probeFilesystem` reports them.
 */
export async function syncFolder(folder: string, calls = new PromptCalls()): Promise<boolean> {
  let file: number;
  try {
    file = await calls.either(
      () => openSync(folder, 'r'),
      () => openFile(folder, 'r'),
    );
  } catch (error) {
    if (isAbsence(error)) return true;
    throw error;
  }
  try {
    await fsyncFile(file);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EINVAL' || code === 'ENOTSUP' || code === 'EBADF') return false;
    throw new StorageError('file.sync', `cannot synchronise a folder: ${code ?? 'fault'}`, error);
  } finally {
    await calls.either(
      () => {
        closeSync(file);
      },
      () => closeFile(file),
    );
  }
}
