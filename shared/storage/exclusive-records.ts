/**
 * Records of which one of several writers makes the first and only version. What a store promises here is tried before
 * it is relied upon: some accept the condition and let several win.
 */
export interface ExclusiveRecords {
  /** Whether exactly one of several writers at once is let through, as far as a short trial shows. Rejects with StorageError. */
  isReliable(signal: AbortSignal): Promise<boolean>;
  /** Makes the record durable and whole, or says false where there is one. Only as good as `isReliable` says. */
  create(key: string, bytes: Buffer, signal: AbortSignal): Promise<boolean>;
}
