import type { Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';

import { asStorageError } from './filesystem-errors.ts';

/** What is gathered for one call of the system: each goes through the thread pool, which costs as much as 200 KB do. */
const BATCH_BYTES = 512 * 1024;
/** What may wait in memory beside two batches while the disk is busy. */
const BUFFERED_BYTES = 256 * 1024;
/** What a slow client has sent is in the file after this long. */
const GATHER_MS = 50;

type Done = (error?: Error | null) => void;

/**
 * Writes to the end of an open file, in large batches; the next one is gathered, and hashed where a hash is given,
 * while the system writes. It never closes the file: await `settle` before that, also after an error.
 */
export class FileSink extends Writable {
  readonly #handle: FileHandle;
  readonly #hash: Hash | undefined;
  #inFlight: Promise<void> = Promise.resolve();
  #fault: Error | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(handle: FileHandle, hash?: Hash) {
    super({ highWaterMark: BUFFERED_BYTES });
    this.#handle = handle;
    this.#hash = hash;
  }

  /** Bytes given to the file and to the hash so far; when a write failed the file may hold fewer. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Writes what is gathered, also after the stream was destroyed, and resolves when no write is under way any more. */
  async settle(): Promise<void> {
    for (let seen: Promise<void> | undefined; seen !== this.#inFlight;) {
      seen = this.#inFlight;
      await seen;
      if (!this.#fault && this.#held.length > 0) this.#flush();
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#hash?.update(chunk);
    this.#bytes += chunk.length;
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < BATCH_BYTES) {
      this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
      done();
      return;
    }
    const before = this.#inFlight;
    this.#flush();
    void before.then(() => {
      done(this.#fault);
    });
  }

  override _final(done: Done): void {
    void this.settle().then(() => {
      done(this.#fault);
    });
  }

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#timer);
    done(error);
  }

  /** One write after the other; each takes all that is held when its turn has come. */
  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#inFlight = this.#inFlight.then(() => this.#writeHeld());
  }

  async #writeHeld(): Promise<void> {
    const chunks = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    if (this.#fault || chunks.length === 0) return;
    try {
      await writeFully(this.#handle, chunks);
    } catch (error) {
      this.#fault = asStorageError('file.write', error) as Error;
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
