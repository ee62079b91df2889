import type { Hash } from 'node:crypto';

import { type DigestAlgorithm, finishDigest, startDigest } from '../../oci/digest.ts';
import type { Progress } from './upload-records.ts';

/** A running hash of the first `offset` bytes of the staged file with this inode. Before the first byte: of any. */
export interface RunningHash {
  readonly algorithm: DigestAlgorithm;
  readonly hash: Hash;
  readonly offset: number;
  readonly inode: number | undefined;
}

export function newHash(algorithm: DigestAlgorithm): RunningHash {
  return { algorithm, hash: startDigest(algorithm), offset: 0, inode: undefined };
}

/** The digest so far, to stand beside the staged bytes. */
export function progressOf(running: RunningHash, inode: number): Progress {
  const { algorithm, offset } = running;
  return { algorithm, offset, inode, digest: finishDigest(algorithm, running.hash.copy()) };
}
