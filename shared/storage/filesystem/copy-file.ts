import type { FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';

import { AwaitedWrites } from '../awaited-writes.ts';
import type { InspectChunk } from '../blob-store.ts';
import { StorageError } from '../errors.ts';
import { asStorageError } from './filesystem-errors.ts';

/** Small enough to stay in the processor's cache between the read and the write. */
const BUFFER_BYTES = 256 * 1024;
/** Buffers kept for the next blob. */
const MAX_SPARE = 32;

const spare: Buffer[] = [];

/** Exactly the bytes [offset, offset + length) of an open file. */
export interface FilePart {
  readonly handle: FileHandle;
  readonly offset: number;
  readonly length: number;
}

/**
 * Writes a part of a file to a destination: one buffer is read into while the other one is on its way, and both serve
 * again, since fresh memory for each chunk would cost more than the copying. Leaves file and destination open. Throws
 * StorageError when the file is shorter, what `inspect` throws, and the destination's error, or one of its own, when
 * that closes.
 */
export async function copyFilePart(
  part: FilePart,
  destination: Writable,
  inspect?: InspectChunk,
): Promise<void> {
  const buffers = [takeBuffer(), takeBuffer()] as const;
  const writes = new AwaitedWrites(destination);
  try {
    let writing: Promise<void> | undefined;
    for (let done = 0, turn = 0; done < part.length; turn += 1) {
      const chunk = await readChunk(part, done, turn % 2 === 0 ? buffers[0] : buffers[1]);
      done += chunk.length;
      inspect?.(chunk);
      await writing;
      writing = writes.write(chunk);
      writing?.catch(() => undefined);
    }
    await writing;
  } catch (error) {
    // A write under way may still read its buffer: that one is not used again.
    throw asStorageError('file.read', error);
  } finally {
    writes.end();
  }
  giveBack(buffers);
}

async function readChunk(
  { handle, offset, length }: FilePart,
  done: number,
  buffer: Buffer,
): Promise<Buffer> {
  const wanted = Math.min(buffer.length, length - done);
  const { bytesRead } = await handle.read(buffer, 0, wanted, offset + done);
  if (bytesRead === 0) {
    throw new StorageError('file.read', `the file ends ${length - done} bytes early`);
  }
  return buffer.subarray(0, bytesRead);
}

const takeBuffer = (): Buffer => spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);

function giveBack(buffers: readonly Buffer[]): void {
  for (const buffer of buffers) if (spare.length < MAX_SPARE) spare.push(buffer);
}
