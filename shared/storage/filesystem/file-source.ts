import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';

import { StorageError } from '../errors.ts';
import { asStorageError } from './filesystem-errors.ts';

const READ_BYTES = 256 * 1024;

/**
 * Exactly the bytes [offset, offset + length) of an open file, read ahead by one chunk. Closes the handle when the
 * stream ends or is destroyed, unless it is told to leave it open; no read is under way then. A file that is shorter
 * destroys the stream with a StorageError. It may be destroyed before anybody reads it.
 */
export class FileSource extends Readable {
  readonly #handle: FileHandle;
  readonly #closesHandle: boolean;
  #position: number;
  #remaining: number;
  #inFlight: Promise<unknown> = Promise.resolve();

  constructor(
    handle: FileHandle,
    offset: number,
    length: number,
    options = { closesHandle: true },
  ) {
    super({ highWaterMark: READ_BYTES });
    this.#handle = handle;
    this.#closesHandle = options.closesHandle;
    this.#position = offset;
    this.#remaining = length;
    // Whoever reads it hears of an error; before that there is nobody, and an unheard error would end the process.
    this.on('error', () => undefined);
  }

  override _read(): void {
    if (this.#remaining === 0) {
      this.push(null);
      return;
    }
    this.#inFlight = this.#readChunk().then(
      (chunk) => {
        if (!this.destroyed) this.push(chunk);
      },
      (error: unknown) => {
        this.destroy(asStorageError('file.read', error) as Error);
      },
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const close = async (): Promise<void> => {
      if (this.#closesHandle) await this.#handle.close();
    };
    // A read under way must not find its descriptor closed, or used for another file.
    this.#inFlight.then(close, close).then(
      () => {
        done(error);
      },
      (closeError: unknown) => {
        done(error ?? (asStorageError('file.close', closeError) as Error));
      },
    );
  }

  async #readChunk(): Promise<Buffer> {
    const wanted = Buffer.allocUnsafeSlow(Math.min(this.#remaining, READ_BYTES));
    const { bytesRead } = await this.#handle.read(wanted, 0, wanted.length, this.#position);
    if (bytesRead === 0) {
      throw new StorageError('file.read', `the file ends ${this.#remaining} bytes early`);
    }
    this.#position += bytesRead;
    this.#remaining -= bytesRead;
    return wanted.subarray(0, bytesRead);
  }
}
