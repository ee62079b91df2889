/** The times of the protocol of coherent-cache.ts, in milliseconds. What must hold between them stands beside each. */
export interface IndexTiming {
  /** What one command may take: an answer that is later is dearer than asking the store. */
  readonly commandMs: number;
  /** Redis is trusted while the journal folder was last listed less than this ago: the bound on stale answers. */
  readonly trustMs: number;
  /** A mutation gives up its store write this long after it began. */
  readonly writeDeadlineMs: number;
  /**
   * Nothing is cached in an epoch younger than this. Not below `writeDeadlineMs` and `trustMs` together: a process that
   * knows the store by another id (store-identity.ts) may begin a mutation unseen until its trust ends.
   */
  readonly coldMs: number;
  /** Mutations may begin under one journal entry for everything this long after it was written. */
  readonly journalReuseMs: number;
  /** The mark of a mutation that never came back lapses after this. Well above `writeDeadlineMs`. */
  readonly markTtlMs: number;
  /** A cached value lives this long: what bounds the harm of a store that was changed by other hands. */
  readonly entryTtlMs: number;
  /** That nothing is there lives this long, and so does leave to fill an answer in: anybody can ask for what is not. */
  readonly absentTtlMs: number;
}

/** The times for a trust period and a command as configured (INDEX_TRUST_SECONDS, REDIS_TIMEOUT_MS). */
export function indexTiming(trustSeconds: number, commandMs = 50): IndexTiming {
  const trustMs = trustSeconds * 1000;
  const writeDeadlineMs = 30_000;
  return {
    commandMs,
    trustMs,
    writeDeadlineMs,
    coldMs: Math.max(writeDeadlineMs + Math.max(5_000, trustMs), 3 * trustMs),
    journalReuseMs: 300_000,
    markTtlMs: 600_000,
    entryTtlMs: 3_600_000,
    absentTtlMs: 30_000,
  };
}
