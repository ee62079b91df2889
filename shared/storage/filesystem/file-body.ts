import type { FileHandle } from 'node:fs/promises';
import { addAbortSignal, type Readable, type Writable } from 'node:stream';

import type { ResolvedRange } from '../../oci/range.ts';
import type { BlobBody, BlobStat, InspectChunk } from '../blob-store.ts';
import { copyFilePart } from './copy-file.ts';
import { FileSource } from './file-source.ts';

export type VersionedStat = Required<BlobStat> & { readonly version: string };

/** A blob in an open file, which it closes: after it was read or copied, or when the signal aborts before that. */
export class FileBody implements BlobBody {
  readonly totalBytes: number;
  readonly offset: number;
  readonly length: number;
  readonly version: string;
  readonly #handle: FileHandle;
  readonly #signal: AbortSignal;
  #stream: Readable | undefined;
  readonly #onAbort = (): void => void this.#open();

  constructor(
    handle: FileHandle,
    { size, version }: VersionedStat,
    { offset, length }: ResolvedRange,
    signal: AbortSignal,
  ) {
    this.totalBytes = size;
    this.version = version;
    this.offset = offset;
    this.length = length;
    this.#handle = handle;
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get stream(): Readable {
    return this.#open();
  }

  async copyTo(destination: Writable, inspect?: InspectChunk): Promise<void> {
    this.#signal.throwIfAborted();
    this.#signal.removeEventListener('abort', this.#onAbort);
    const { offset, length } = this;
    try {
      await copyFilePart({ handle: this.#handle, offset, length }, destination, inspect);
    } finally {
      // Nobody waits for it: a client that has the last byte may leave at once. A file that was only read is not hurt.
      this.#handle.close().catch(() => undefined);
    }
  }

  /** The stream closes the file when it ends, is destroyed, or the signal aborts. */
  #open(): Readable {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#stream ??= addAbortSignal(
      this.#signal,
      new FileSource(this.#handle, this.offset, this.length),
    );
    return this.#stream;
  }
}
