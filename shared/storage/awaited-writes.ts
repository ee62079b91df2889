import type { Writable } from 'node:stream';

/** Writes chunk by chunk, each to its end, so that its memory can be used again; leaves the destination open. */
export class AwaitedWrites {
  readonly #destination: Writable;
  readonly #closed = Promise.withResolvers<never>();

  constructor(destination: Writable) {
    this.#destination = destination;
    this.#closed.promise.catch(() => undefined);
    destination.once('close', this.#onClose);
    if (destination.destroyed) this.#onClose();
  }

  /**
   * Resolves when the system has the bytes. Rejects with the destination's error, or one of its own, when that closes
   * before; then the memory may still be read.
   */
  async write(chunk: Buffer): Promise<void> {
    const written = Promise.withResolvers<undefined>();
    this.#destination.write(chunk, (error) => {
      if (error) written.reject(error);
      else written.resolve(undefined);
    });
    await Promise.race([written.promise, this.#closed.promise]);
  }

  /** No longer watches the destination. */
  end(): void {
    this.#destination.off('close', this.#onClose);
  }

  readonly #onClose = (): void => {
    this.#closed.reject(this.#destination.errored ?? new Error('the destination was closed'));
  };
}
