import pLimit from 'p-limit';

const KEPT_MS = 10_000;

export interface PartPoolOptions {
  /** Size of the blocks that are kept. */
  readonly blockBytes: number;
  /** Parts that are sent at once; so many blocks are kept as well. */
  readonly partsInFlight: number;
  /** After so long without a part that was sent their memory goes back to the system. */
  readonly keptMs?: number;
}

/**
 * What the uploads of a process share: the memory of their parts, and their turns to send one. Whoever waits for a turn
 * holds one part; without turns each of many uploads would hold three.
 */
export class PartPool {
  readonly #options: PartPoolOptions;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #spare: Buffer[] = [];
  readonly #tidying: NodeJS.Timeout;

  constructor(options: PartPoolOptions) {
    this.#options = options;
    this.#limit = pLimit(options.partsInFlight);
    this.#tidying = setTimeout(() => this.#spare.splice(0), options.keptMs ?? KEPT_MS).unref();
  }

  /** A block that was used before, of the size that is kept; undefined: there is none. */
  take(bytes: number): Buffer | undefined {
    return bytes === this.#options.blockBytes ? this.#spare.pop() : undefined;
  }

  /** Takes the memory of bytes that nobody reads any more. */
  give(bytes: Buffer): void {
    const { blockBytes, partsInFlight } = this.#options;
    if (bytes.buffer.byteLength !== blockBytes || this.#spare.length === partsInFlight) return;
    this.#spare.push(Buffer.from(bytes.buffer));
    this.#tidying.refresh();
  }

  /** Resolves when it is the turn of `send`, which has begun then; `sent` is how it ends. */
  async begin<Sent>(send: () => Promise<Sent>): Promise<{ readonly sent: Promise<Sent> }> {
    const begun = Promise.withResolvers<undefined>();
    const sent = this.#limit(() => {
      begun.resolve(undefined);
      return send();
    });
    await begun.promise;
    return { sent };
  }

  /** Lets the memory go. */
  close(): void {
    clearTimeout(this.#tidying);
    this.#spare.splice(0);
  }
}
