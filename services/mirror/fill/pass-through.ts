import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import {
  type Digest,
  digestAlgorithm,
  finishDigest,
  startDigest,
} from '../../../shared/oci/digest.ts';
import type { ResolvedRange } from '../../../shared/oci/range.ts';
import { DigestMismatchError } from '../../../shared/storage/errors.ts';
import type { DigestState } from './running-digest.ts';
import { HOLD_BACK_BYTES } from './spooled-body.ts';

/**
 * Lets a range of a blob through while all of it goes by, and keeps the range's last bytes until the whole has its
 * digest: a wrong body ends short.
 */
class VerifiedRange extends Transform {
  readonly #digest: Digest;
  readonly #hash;
  readonly #first: number;
  readonly #end: number;
  #position: number;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(digest: Digest, range: ResolvedRange, before: DigestState | undefined) {
    super();
    this.#digest = digest;
    this.#hash = before?.hash ?? startDigest(digestAlgorithm(digest));
    this.#position = before?.position ?? 0;
    this.#first = range.offset;
    this.#end = range.offset + range.length;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk);
    const first = Math.max(this.#first - this.#position, 0);
    const end = Math.min(this.#end - this.#position, chunk.length);
    this.#position += chunk.length;
    if (first < end) {
      this.#held.push(chunk.subarray(first, end));
      this.#heldBytes += end - first;
    }
    // Whole chunks go on as soon as enough is kept behind them.
    for (let next = this.#held[0]; next; next = this.#held[0]) {
      if (this.#heldBytes - next.length < HOLD_BACK_BYTES) break;
      this.#held.shift();
      this.#heldBytes -= next.length;
      this.push(next);
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    if (finishDigest(digestAlgorithm(this.#digest), this.#hash) !== this.#digest) {
      done(new DigestMismatchError(`the upstream sent bytes that are not ${this.#digest}`));
      return;
    }
    for (const chunk of this.#held) this.push(chunk);
    done();
  }
}

export interface PassedBody {
  /** All of the blob, or what comes after `before`. */
  readonly source: Readable;
  readonly digest: Digest;
  /** What comes before the source: it lies before the range too. */
  readonly before?: DigestState | undefined;
}

/** The range of an upstream body, verified on its way. Destroying either end destroys the other. */
export function passThrough(
  { source, digest, before }: PassedBody,
  range: ResolvedRange,
  signal: AbortSignal,
): Readable {
  const verified = new VerifiedRange(digest, range, before);
  // A client that leaves before it reads breaks nothing.
  verified.on('error', () => undefined);
  // Every failure reaches the reader as the destruction of what it reads.
  pipeline(source, verified, { signal }).catch(() => undefined);
  return verified;
}
