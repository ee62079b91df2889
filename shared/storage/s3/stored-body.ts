import { pipeline, type Readable, Transform, type TransformCallback } from 'node:stream';

import { S3StorageError } from './s3-errors.ts';

export interface StoredBodyOptions {
  readonly operation: string;
  readonly key: string;
  /** The stream must carry exactly this many bytes. */
  readonly length: number;
  /** A store that sends nothing for this long while it could is given up (at the latest after twice that). */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

/** Lets bytes through, counts them, and fails when they are too few, too many or do not come. */
class BodyGuard extends Transform {
  readonly #options: StoredBodyOptions;
  readonly #timer: NodeJS.Timeout;
  #received = 0;
  #isSuspect = false;

  constructor(options: StoredBodyOptions) {
    super();
    this.#options = options;
    this.#timer = setTimeout(this.#onIdle, options.idleMs);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#isSuspect = false;
    this.#received += chunk.length;
    if (this.#received > this.#options.length) done(this.#fault('sent more than announced'));
    else done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    if (this.#received === this.#options.length) done();
    else done(this.#fault(`ended after ${this.#received} of ${this.#options.length} bytes`));
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }

  /** Only silence of the store counts: while the reader has not taken what is there, the store is not to blame. */
  readonly #onIdle = (): void => {
    if (this.#isSuspect) {
      this.destroy(this.#fault('stopped sending'));
      return;
    }
    this.#isSuspect = this.readableLength < this.readableHighWaterMark;
    this.#timer.refresh();
  };

  #fault(what: string): S3StorageError {
    return new S3StorageError(this.#options.operation, `${this.#options.key}: ${what}`, true);
  }
}

/**
 * The body of an answer of the store as a stream that never ends short: what goes wrong (too few bytes, silence, a
 * broken connection, an aborted signal) destroys it with an error, and destroying it frees the connection.
 */
export function guardBody(source: Readable, options: StoredBodyOptions): Readable {
  const { signal } = options;
  const guard = new BodyGuard(options);
  const onAbort = (): void => {
    guard.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
  };
  pipeline(source, guard, () => {
    signal.removeEventListener('abort', onAbort);
  });
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return guard;
}
