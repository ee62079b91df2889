import type { PartPool } from './part-pool.ts';

/** What S3 allows in one multipart upload. */
const MAX_PARTS = 10_000;
const MAX_OBJECT_BYTES = 5 * 1024 ** 4;
/** Parts double in size after this many, so that a stream of unknown length may grow to 15 times 2,500 first parts. */
const PARTS_PER_SIZE = 2_500;
const FIRST_BLOCK_BYTES = 64 * 1024;
const BLOCK_GROWTH = 4;
/** Uploads that may turn out no larger do not take the memory of a whole part. */
const SMALL_BYTES = 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/**
 * The part size to begin with: the configured one, or larger when the announced size needs it. Whoever announces more
 * than S3 takes gets no larger parts for it.
 */
export function firstPartBytes(partBytes: number, size: number | undefined): number {
  return Math.max(partBytes, Math.ceil(Math.min(size ?? 0, MAX_OBJECT_BYTES) / MAX_PARTS));
}

/** The size of part `number` (from 1) of an upload whose first part has `firstBytes`. */
export function partBytesAt(number: number, firstBytes: number): number {
  return firstBytes * 2 ** Math.floor((number - 1) / PARTS_PER_SIZE);
}

/** A whole part. Its bytes belong to the receiver, who gives them back by `recycle` when it is done. */
export interface AssembledPart {
  readonly number: number;
  readonly bytes: Buffer;
}

export interface PartAssemblerOptions {
  /** Size of part 1 of the whole upload in bytes. */
  readonly partBytes: number;
  /** Number of the part that is gathered first; 1 without it. */
  readonly firstNumber?: number;
  /** So many bytes of that part are kept elsewhere already: it is passed on without them. */
  readonly heldBytes?: number;
  /** Where memory comes from and goes back to. */
  readonly pool: Pick<PartPool, 'take' | 'give'>;
}

/**
 * Cuts chunks of any size into parts of exactly the size S3 shall see. Bytes are copied into blocks of our own: the
 * chunks are slices of pooled slabs that a waiting part would pin, and a part is sent again when a try fails. A full
 * block is passed on when more comes, so the last part stays in `rest` whatever its size.
 */
export class PartAssembler {
  readonly #firstNumber: number;
  readonly #firstBytes: number;
  readonly #heldBytes: number;
  readonly #emit: (part: AssembledPart) => Promise<void>;
  readonly #pool: PartAssemblerOptions['pool'];
  #number: number;
  #block: Buffer = NOTHING;
  #filled = 0;

  /** `emit` resolves when the next part may be gathered; until then nothing more is taken. */
  constructor(options: PartAssemblerOptions, emit: (part: AssembledPart) => Promise<void>) {
    this.#firstNumber = options.firstNumber ?? 1;
    this.#number = this.#firstNumber;
    this.#firstBytes = options.partBytes;
    this.#heldBytes = options.heldBytes ?? 0;
    this.#pool = options.pool;
    this.#emit = emit;
  }

  /** The part that is being gathered: valid until the next `write`. */
  get rest(): AssembledPart {
    return { number: this.#number, bytes: this.#block.subarray(0, this.#filled) };
  }

  async write(chunk: Buffer): Promise<void> {
    let taken = 0;
    while (taken < chunk.length) {
      const target = this.#target();
      if (this.#filled === target) {
        await this.#pass();
        continue;
      }
      const count = Math.min(chunk.length - taken, target - this.#filled);
      this.#reserve(this.#filled + count, target);
      chunk.copy(this.#block, this.#filled, taken, taken + count);
      this.#filled += count;
      taken += count;
    }
  }

  /** Takes the memory of a part back. */
  recycle(part: AssembledPart): void {
    this.#pool.give(part.bytes);
  }

  #target(): number {
    const held = this.#number === this.#firstNumber ? this.#heldBytes : 0;
    return partBytesAt(this.#number, this.#firstBytes) - held;
  }

  async #pass(): Promise<void> {
    const part = this.rest;
    await this.#emit(part);
    this.#number += 1;
    this.#filled = 0;
    this.#block = NOTHING;
  }

  /**
   * Small uploads never pay for a whole part: where there is no spare block the first one grows. The later ones have
   * their full size at once.
   */
  #reserve(bytes: number, target: number): void {
    if (this.#block.length >= bytes) return;
    const isLarge = bytes > SMALL_BYTES || this.#number !== this.#firstNumber;
    const spare = isLarge ? this.#pool.take(target) : undefined;
    const grown = Math.max(FIRST_BLOCK_BYTES, this.#block.length * BLOCK_GROWTH, bytes);
    const isFirst = this.#block.length > 0 || this.#number === this.#firstNumber;
    const block = spare ?? Buffer.allocUnsafeSlow(isFirst ? Math.min(target, grown) : target);
    this.#block.copy(block, 0, 0, this.#filled);
    this.#block = block;
  }
}
