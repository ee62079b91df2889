import type { Outcome } from '../upstream/outcome.ts';
import type { UpstreamBlob } from '../upstream/upstream-client.ts';

/** Bytes of a blob on their way in, and who sends them. */
export interface FillBytes extends UpstreamBlob {
  readonly from: 'upstream' | 'replica' | 'store';
}

/** `held`: the store has the blob by now; told at the first byte alone. */
export type FillBytesOutcome = Outcome<FillBytes> | { readonly kind: 'held' };

/** Where a fill has its bytes from, and whether it is the one that stores them. */
export interface FillSource {
  /** True as long as the bytes come from the upstream: then others may follow this fill. */
  readonly isLeading: boolean;
  /** The bytes from `fromByte` on; asked again when they break off. */
  open(fromByte: number, signal: AbortSignal): Promise<FillBytesOutcome>;
  /** Whether the blob is this fill's to store; waits until whoever is to store it has done so or has failed. */
  isOursToStore(signal: AbortSignal): Promise<boolean>;
  /** Lets others have the blob's lease. Idempotent. */
  close(): Promise<void>;
}
