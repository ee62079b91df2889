import type { Writable } from 'node:stream';

/** Writes chunk by chunk, each to its end, so that its memory can be used again; leaves the destination open. */
export class AwaitedWrites {
  readonly #destination: Writable;
  #closedBy: Error | undefined;
  #last: PromiseWithResolvers<undefined> | undefined;

  constructor(destination: Writable) {
    this.#destination = destination;
    destination.once('close', this.#onClose);
    if (destination.destroyed) this.#onClose();
  }

  /**
   * Undefined when the system has the bytes already. Else it resolves when that is so; rejects with the destination's
   * error, or one of its own, when that closes before; then the memory may still be read.
   */
  write(chunk: Buffer): Promise<void> | undefined {
    const destination = this.#destination;
    const written = Promise.withResolvers<undefined>();
    destination.write(chunk, (error) => {
      if (error) written.reject(error);
      else written.resolve(undefined);
    });
    const isOpen = !destination.destroyed && !destination.errored;
    if (isOpen && destination.writableLength === 0) return undefined;
    if (this.#closedBy) written.reject(this.#closedBy);
    this.#last = written;
    return written.promise;
  }

  /** No longer watches the destination. */
  end(): void {
    this.#destination.off('close', this.#onClose);
  }

  readonly #onClose = (): void => {
    this.#closedBy = this.#destination.errored ?? new Error('the destination was closed');
    this.#last?.reject(this.#closedBy);
  };
}
