import { Readable } from 'node:stream';

import { describe, expect, test } from '@jest/globals';

import { StorageError } from '../errors.ts';
import { unending } from '../testing/contract-support.ts';
import { asStorageError, guarded, isAbsence } from './filesystem-errors.ts';

const systemError = (code: string, syscall = 'write'): Error =>
  Object.assign(new Error(`${code}: something, ${syscall} '/secret/path'`), { code, syscall });

describe('faults of the file system', () => {
  test.each(['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'EXDEV'])(
    '%s is a StorageError that names the operation and no path',
    (code) => {
      const cause = systemError(code);
      const error = asStorageError('blob.put', cause) as StorageError;
      expect(error).toBeInstanceOf(StorageError);
      expect(error).toMatchObject({ operation: 'blob.put', cause });
      expect(error.message).toBe(`blob.put: ${code} on write`);
      expect(isAbsence(cause)).toBe(false);
    },
  );

  test.each(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'])('%s is absence', (code) => {
    expect(isAbsence(systemError(code))).toBe(true);
  });

  test('errors that no system call made stay as they are', async () => {
    for (const error of [new Error('mine'), new RangeError('x'), new StorageError('a', 'b')]) {
      expect(asStorageError('blob.put', error)).toBe(error);
      await expect(guarded('blob.put', unending, () => Promise.reject(error))).rejects.toBe(error);
    }
  });

  test("an error of the client's connection is not blamed on the store", async () => {
    const error = systemError('ECONNRESET', 'read');
    const body = new Readable({ read: () => undefined });
    body.on('error', () => undefined);
    body.destroy(error);
    await new Promise((resolve) => body.once('close', resolve));
    await expect(guarded('blob.put', unending, () => Promise.reject(error), body)).rejects.toBe(
      error,
    );
  });
});
