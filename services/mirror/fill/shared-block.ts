/** As large as reads get that are worth it. */
const BLOCK_BYTES = 256 * 1024;
/** Blocks kept for the next bodies. */
const MAX_SPARE = 32;

const spare: Buffer[] = [];

/**
 * Memory for bytes that several read at their own speed. It serves again when the last of them is done with it; who
 * never says so leaves it to the garbage collector. Whoever makes it is the first.
 */
export class SharedBlock {
  readonly bytes: Buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #users = 1;

  retain(): void {
    this.#users += 1;
  }

  /** Once for each time that it was retained or made. */
  release(): void {
    this.#users -= 1;
    if (this.#users === 0 && spare.length < MAX_SPARE) spare.push(this.bytes);
  }
}
