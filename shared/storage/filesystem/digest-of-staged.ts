import { addAbortSignal } from 'node:stream';

import { type Digest, type DigestAlgorithm, finishDigest, startDigest } from '../../oci/digest.ts';
import { FileSource } from './file-source.ts';
import type { PromptCalls } from './prompt-calls.ts';
import type { Claim } from './staged-file.ts';
import { readProgress } from './upload-records.ts';

export interface StagedDigest {
  readonly digest: Digest;
  /** The append that ended there has synchronised all bytes: that comes before its record. */
  readonly isOnDisk: boolean;
}

/** The digest of the staged bytes: from the record beside them when it speaks of these, else by reading all of them. */
export async function digestOfStaged(
  calls: PromptCalls,
  folder: string,
  claim: Claim,
  algorithm: DigestAlgorithm,
  signal: AbortSignal,
): Promise<StagedDigest> {
  const progress = await readProgress(calls, folder);
  const isOnDisk = progress?.offset === claim.size && progress.inode === claim.inode;
  if (isOnDisk && progress.algorithm === algorithm) return { digest: progress.digest, isOnDisk };
  const hash = startDigest(algorithm);
  const source = new FileSource(claim.handle, 0, claim.size, { closesHandle: false });
  for await (const chunk of addAbortSignal(signal, source)) hash.update(chunk as Buffer);
  return { digest: finishDigest(algorithm, hash), isOnDisk };
}
