import { open } from 'node:fs/promises';

import { AwaitedWrites } from '../awaited-writes.ts';
import type { VerifiedFile } from '../blob-store.ts';
import type { SentBody } from './plain-connection.ts';

/** What is read by one call of the system: each goes through the thread pool. */
const BUFFER_BYTES = 512 * 1024;

/** A file as the body of a request. One that is not as long as it was is not sent to its end. */
export function sentFile({ path, size }: VerifiedFile, signal: AbortSignal): SentBody {
  return {
    length: size,
    writeTo: async (destination, onRead) => {
      const handle = await open(path);
      const writes = new AwaitedWrites(destination);
      try {
        const otherSize = new Error(`${path} has another length than ${size}`);
        if ((await handle.stat()).size !== size) throw otherSize;
        const buffer = Buffer.allocUnsafeSlow(Math.min(BUFFER_BYTES, size));
        for (let position = 0; position < size;) {
          signal.throwIfAborted();
          const wanted = Math.min(buffer.length, size - position);
          const { bytesRead } = await handle.read(buffer, 0, wanted, position);
          if (bytesRead === 0) throw otherSize;
          position += bytesRead;
          if (position === size) onRead();
          await writes.write(buffer.subarray(0, bytesRead));
        }
      } finally {
        writes.end();
        await handle.close();
      }
    },
  };
}
