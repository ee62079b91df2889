import type { Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';

import { asStorageError } from './filesystem-errors.ts';

/** What may wait in memory while the disk is busy. */
const BUFFERED_BYTES = 1024 * 1024;

type Done = (error?: Error | null) => void;

/**
 * Writes to the end of an open file, in one system call for all chunks that wait. The hash, where one is given, runs
 * while the system writes. It never closes the file: await `idle` before that, also after an error.
 */
export class FileSink extends Writable {
  readonly #handle: FileHandle;
  readonly #hash: Hash | undefined;
  #inFlight: Promise<void> = Promise.resolve();
  #bytes = 0;

  constructor(handle: FileHandle, hash?: Hash) {
    super({ highWaterMark: BUFFERED_BYTES });
    this.#handle = handle;
    this.#hash = hash;
  }

  /** Bytes given to the file and to the hash so far; when a write failed the file may hold fewer. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when no write is under way any more. */
  idle(): Promise<void> {
    return this.#inFlight;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#start([chunk], done);
  }

  override _writev(items: { chunk: Buffer }[], done: Done): void {
    this.#start(
      items.map((item) => item.chunk),
      done,
    );
  }

  #start(chunks: Buffer[], done: Done): void {
    const writing = writeFully(this.#handle, chunks);
    this.#inFlight = writing.then(
      () => {
        done();
      },
      (error: unknown) => {
        done(asStorageError('file.write', error) as Error);
      },
    );
    for (const chunk of chunks) {
      this.#hash?.update(chunk);
      this.#bytes += chunk.length;
    }
  }
}

/** Writes all bytes at the end of the file (or where it stands), however many calls the system needs. */
export async function writeFully(handle: FileHandle, chunks: readonly Buffer[]): Promise<void> {
  let rest = chunks;
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest);
    let whole = 0;
    for (const chunk of rest) {
      if (bytesWritten < chunk.length) break;
      bytesWritten -= chunk.length;
      whole += 1;
    }
    const [partial, ...others] = rest.slice(whole);
    rest = partial ? [partial.subarray(bytesWritten), ...others] : [];
  }
}
