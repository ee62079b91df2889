import { type FileHandle, open } from 'node:fs/promises';

import { S3StorageError } from './s3-errors.ts';

/** What is read by one call of the system: each goes through the thread pool. */
const BUFFER_BYTES = 512 * 1024;

/**
 * Hands the bytes of a file to `take` in turn, in memory that is used again as soon as that is done with them. Resolves
 * to their number. Whatever `take` throws ends it; a file that cannot be read is a StorageError.
 */
export async function readFile(
  path: string,
  signal: AbortSignal,
  take: (chunk: Buffer) => Promise<void>,
): Promise<number> {
  const handle = await unlessFaulty(open(path));
  try {
    const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    for (let position = 0; ;) {
      signal.throwIfAborted();
      const count = await unlessFaulty(readAt(handle, buffer, position));
      if (count === 0) return position;
      position += count;
      await take(buffer.subarray(0, count));
    }
  } finally {
    await handle.close();
  }
}

async function readAt(handle: FileHandle, buffer: Buffer, position: number): Promise<number> {
  return (await handle.read(buffer, 0, buffer.length, position)).bytesRead;
}

async function unlessFaulty<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new S3StorageError('file.read', (error as Error).message, false, error);
  }
}
