import type { SpoolFile } from './spool-file.ts';

/** A place for bytes that are addressed from 0 on. */
export interface RingStorage {
  write(chunks: readonly Buffer[], position: number): Promise<void>;
  read(buffer: Buffer, position: number, length: number): Promise<number>;
  close(): Promise<void>;
}

/** The last `windowBytes` of what was appended, over a storage of that size that is written round and round. */
export class RingFile implements SpoolFile {
  readonly windowBytes: number;
  readonly #storage: RingStorage;
  #end = 0;

  constructor(storage: RingStorage, windowBytes: number) {
    this.#storage = storage;
    this.windowBytes = windowBytes;
  }

  async append(chunks: readonly Buffer[]): Promise<void> {
    for (const chunk of chunks) await this.#append(chunk);
  }

  async #append(chunk: Buffer): Promise<void> {
    for (let done = 0; done < chunk.length;) {
      const at = this.#end % this.windowBytes;
      const piece = chunk.subarray(done, done + this.windowBytes - at);
      await this.#storage.write([piece], at);
      done += piece.length;
      this.#end += piece.length;
    }
  }

  /** Up to where the ring begins again. */
  read(buffer: Buffer, position: number, length: number): Promise<number> {
    const at = position % this.windowBytes;
    return this.#storage.read(buffer, at, Math.min(length, this.windowBytes - at));
  }

  close(): Promise<void> {
    return this.#storage.close();
  }
}
