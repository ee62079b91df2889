import type { Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';

import { type Digest, digestAlgorithm, finishDigest, startDigest } from '../oci/digest.ts';
import { DigestMismatchError, SizeMismatchError } from './errors.ts';

/**
 * Passes bytes through and fails unless they are what was announced. The verdict falls in `flush`, so whatever stands
 * behind this stream sees its end only when all bytes are right: an incomplete write must not be published. A body
 * that grows longer than `size` fails at once with SizeMismatchError; a short one with SizeMismatchError and one of
 * another digest with DigestMismatchError, both at its end.
 */
export class VerifyStream extends Transform {
  readonly #digest: Digest;
  readonly #size: number | undefined;
  readonly #hash: Hash;
  #bytes = 0;

  /** `size` in bytes; undefined when it was not announced. */
  constructor(digest: Digest, size?: number) {
    super();
    this.#digest = digest;
    this.#size = size;
    this.#hash = startDigest(digestAlgorithm(digest));
  }

  /** How many bytes came through so far. */
  get bytes(): number {
    return this.#bytes;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#bytes += chunk.length;
    if (this.#size !== undefined && this.#bytes > this.#size) {
      callback(
        new SizeMismatchError(`the content is longer than the announced ${this.#size} bytes`),
      );
      return;
    }
    this.#hash.update(chunk);
    callback(null, chunk);
  }

  override _flush(callback: TransformCallback): void {
    callback(
      contentFault({
        digest: this.#digest,
        size: this.#size,
        actualDigest: finishDigest(digestAlgorithm(this.#digest), this.#hash),
        actualSize: this.#bytes,
      }),
    );
  }
}

/** What is wrong with content that was announced as `digest` and, where known, `size`; null when nothing is. */
export function contentFault(content: {
  readonly digest: Digest;
  readonly size: number | undefined;
  readonly actualDigest: Digest;
  readonly actualSize: number;
}): DigestMismatchError | SizeMismatchError | null {
  const { digest, size, actualDigest, actualSize } = content;
  if (size !== undefined && actualSize !== size) {
    return new SizeMismatchError(
      `the content has ${actualSize} bytes instead of the announced ${size}`,
    );
  }
  return actualDigest === digest
    ? null
    : new DigestMismatchError(`the content has the digest ${actualDigest} instead of ${digest}`);
}
