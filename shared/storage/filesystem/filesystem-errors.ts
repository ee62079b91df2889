import type { Readable } from 'node:stream';

import { StorageError } from '../errors.ts';

/** The system's code of an error, for example `ENOENT`; undefined for errors that no system call made. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return 'syscall' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Nothing is there: no such name, or a part of the path is no folder, or too long to be one. */
export function isAbsence(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG';
}

/** Turns what a system call threw (ENOSPC, EACCES, EIO, EMFILE, …) into a StorageError; other errors stay as they are. */
export function asStorageError(operation: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  const { syscall } = error as NodeJS.ErrnoException;
  return new StorageError(operation, `${code} on ${syscall ?? 'a file'}`, error);
}

/**
 * Runs one operation of a store unless `signal` has aborted; faults of the system come out as StorageError. An error
 * of `body` itself, for example of a client's connection, is no fault of the store and stays as it is.
 */
export async function guarded<T>(
  operation: string,
  signal: AbortSignal,
  run: () => Promise<T>,
  body?: Readable,
): Promise<T> {
  signal.throwIfAborted();
  try {
    return await run();
  } catch (error) {
    throw body?.errored === error ? error : asStorageError(operation, error);
  }
}

/** The result, or undefined where nothing is there. */
export async function unlessAbsent<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}
