import type { Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { FileSink } from './file-sink.ts';
import type { Claim } from './staged-file.ts';

export interface Appended {
  /** Length of the staged file in the end. */
  readonly size: number;
  readonly hashedBytes: number;
  /** Why the body was not appended whole. */
  readonly fault: Error | undefined;
}

/** Appends a body. Leaves the bytes on disk, unless there is a fault: then the commit does that. */
export async function appendToStaged(
  claim: Claim,
  body: Readable,
  hash: Hash | undefined,
  signal: AbortSignal,
): Promise<Appended> {
  const sink = new FileSink(claim.handle, hash);
  let fault: Error | undefined;
  try {
    await pipeline(body, sink, { signal });
  } catch (error) {
    fault = error as Error;
  }
  await sink.settle();
  const { size } = await claim.handle.stat();
  // Also where nothing came: what is there may be of an append that broke off, and the record of this one vouches for it.
  if (fault === undefined && size > 0) await claim.handle.datasync();
  return { size, hashedBytes: sink.bytes, fault };
}
