import type { Hash } from 'node:crypto';

import {
  type Digest,
  digestAlgorithm,
  finishDigest,
  startDigest,
} from '../../../shared/oci/digest.ts';

/** A hash of the first `position` bytes of a blob. */
export interface DigestState {
  readonly position: number;
  readonly hash: Hash;
}

const EVERY_BYTES = 4 * 1024 * 1024;

/** The digest of a body while it arrives, with states of it to go on from. */
export class RunningDigest {
  readonly #digest: Digest;
  readonly #hash: Hash;
  #states: DigestState[] = [];
  #position = 0;

  constructor(digest: Digest) {
    this.#digest = digest;
    this.#hash = startDigest(digestAlgorithm(digest));
  }

  update(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#position += chunk.length;
    const last = this.#states.at(-1)?.position ?? 0;
    if (this.#position - last >= EVERY_BYTES) {
      this.#states.push({ position: this.#position, hash: this.#hash.copy() });
    }
  }

  /** The last state that does not go beyond the position; undefined: there is none but the beginning. */
  stateUpTo(position: number): DigestState | undefined {
    const state = this.#states.findLast((kept) => kept.position <= position);
    return state && { position: state.position, hash: state.hash.copy() };
  }

  /** To be asked once, when all bytes have come. */
  isRight(): boolean {
    return finishDigest(digestAlgorithm(this.#digest), this.#hash) === this.#digest;
  }
}
