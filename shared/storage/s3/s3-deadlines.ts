/** How long the store may take, in milliseconds. Every wait on it ends by one of these. */
export interface S3Deadlines {
  /** To connect. */
  readonly connectMs: number;
  /** From sending a request to the first byte of its answer, per attempt; requests with a body get more (see below). */
  readonly firstByteMs: number;
  /** Between two chunks of an answer's body. */
  readonly idleMs: number;
  /** For one operation with all its attempts. */
  readonly operationMs: number;
  /** For one operation that makes the store move a whole object (copy, completing a multipart upload). */
  readonly heavyOperationMs: number;
}

/** Clients give up after 10 s and more: what the store does not do by then is told them as 503 before. */
export const defaultDeadlines: S3Deadlines = {
  connectMs: 3_000,
  firstByteMs: 6_000,
  idleMs: 30_000,
  operationMs: 9_500,
  heavyOperationMs: 900_000,
};

/** A body that moves slower than this is given up. */
const SLOWEST_BYTES_PER_MS = 256;

/** What is added to a deadline for a body of `bytes`. */
export function bodyAllowanceMs(bytes: number): number {
  return Math.ceil(bytes / SLOWEST_BYTES_PER_MS);
}

/** What tidying up after a failure may take: it must not hold up the answer. What it leaves, the reaper finds. */
const CLEANUP_MS = 10_000;

/** A signal for work that goes on although its operation failed or was aborted. */
export function cleanupSignal(): AbortSignal {
  return AbortSignal.timeout(CLEANUP_MS);
}
