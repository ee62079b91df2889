import type { SharedBlock } from './shared-block.ts';

/** Bytes in memory; those of a block are there as long as it is retained. */
export interface Piece {
  readonly bytes: Buffer;
  readonly block: SharedBlock | undefined;
}

interface Entry extends Piece {
  readonly start: number;
  readonly end: number;
}

/** Kept although they are written, for readers that are close behind. */
const KEPT_BYTES = 256 * 1024;

/** The last bytes of a body, in memory. */
export class RecentBytes {
  readonly #entries: Entry[] = [];
  #end = 0;

  /** Behind the last byte. */
  get end(): number {
    return this.#end;
  }

  /** Retains the block. */
  push(bytes: Buffer, block?: SharedBlock): void {
    const start = this.#end;
    this.#end += bytes.length;
    const last = this.#entries.at(-1);
    if (last && block && last.block === block && isBehind(bytes, last.bytes)) {
      const at = last.bytes.byteOffset - block.bytes.byteOffset;
      const joined = block.bytes.subarray(at, at + last.bytes.length + bytes.length);
      this.#entries[this.#entries.length - 1] = { ...last, bytes: joined, end: this.#end };
      return;
    }
    block?.retain();
    this.#entries.push({ bytes, block, start, end: this.#end });
  }

  /** What is there from the position on, as far as it lies together; undefined when it is forgotten or has not come. */
  at(position: number, limit: number): Piece | undefined {
    const entry = this.#entries.findLast(({ start }) => start <= position);
    if (!entry || position >= Math.min(entry.end, limit)) return undefined;
    const { bytes, block, start, end } = entry;
    return { bytes: bytes.subarray(position - start, Math.min(end, limit) - start), block };
  }

  /** All from the position on, which is not forgotten. */
  from(position: number): Buffer[] {
    return this.#entries
      .filter(({ end }) => end > position)
      .map(({ bytes, start }) => bytes.subarray(Math.max(position - start, 0)));
  }

  /** The bytes before the position are elsewhere too. */
  forget(position: number): void {
    const until = Math.min(position, this.#end - KEPT_BYTES);
    let first = this.#entries[0];
    while (first && first.end <= until) {
      first.block?.release();
      this.#entries.shift();
      first = this.#entries[0];
    }
  }

  clear(): void {
    for (const { block } of this.#entries.splice(0)) block?.release();
  }
}

const isBehind = (bytes: Buffer, before: Buffer): boolean =>
  bytes.buffer === before.buffer && bytes.byteOffset === before.byteOffset + before.length;
