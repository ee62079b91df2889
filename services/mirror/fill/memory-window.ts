import { type RingStorage, RingFile } from './ring-file.ts';

const WINDOW_BYTES = 4 * 1024 * 1024;
/** 16 MiB in all, whatever the disk does. */
const MAX_WINDOWS = 4;

/** Small windows in memory, for when the disk has no room or takes no writes. */
export class MemoryWindows {
  #count = 0;

  /** Undefined when there are as many as there may be. */
  create(): RingFile | undefined {
    if (this.#count === MAX_WINDOWS) return undefined;
    this.#count += 1;
    return new RingFile(new MemoryStorage(() => (this.#count -= 1)), WINDOW_BYTES);
  }
}

class MemoryStorage implements RingStorage {
  #bytes: Buffer | undefined = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  readonly #closed: () => void;

  constructor(closed: () => void) {
    this.#closed = closed;
  }

  write(chunks: readonly Buffer[], position: number): Promise<void> {
    let end = position;
    for (const chunk of chunks) {
      this.#bytes?.set(chunk, end);
      end += chunk.length;
    }
    return Promise.resolve();
  }

  read(buffer: Buffer, position: number, length: number): Promise<number> {
    const count = this.#bytes?.copy(buffer, 0, position, position + length) ?? 0;
    return Promise.resolve(count);
  }

  close(): Promise<void> {
    if (this.#bytes) this.#closed();
    this.#bytes = undefined;
    return Promise.resolve();
  }
}
