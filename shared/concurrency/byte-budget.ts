/** Room for bytes that several tasks take from and give back. */
export interface ByteBudget {
  /** Takes the bytes, or nothing and false when they are not there. */
  reserve(bytes: number): Promise<boolean>;
  /** Gives reserved bytes back. */
  release(bytes: number): void;
}

/** A budget of this process. */
export class OwnByteBudget implements ByteBudget {
  readonly #maxBytes: number;
  #reservedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  reserve(bytes: number): Promise<boolean> {
    if (this.#reservedBytes + bytes > this.#maxBytes) return Promise.resolve(false);
    this.#reservedBytes += bytes;
    return Promise.resolve(true);
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
  }
}
