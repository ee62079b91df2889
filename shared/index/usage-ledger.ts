import type { Digest } from '../oci/digest.ts';

/** A project whose blobs are counted. The id keeps a project apart from an earlier one of the same name. */
export interface CountedProject {
  readonly name: string;
  readonly id: string;
}

export interface CountedBlob {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
}

/** What a push asks room for. */
export interface RoomRequest {
  readonly blob: CountedBlob;
  readonly quotaBytes: number;
  /** Tells this push from others of the same blob. */
  readonly token: string;
}

/**
 * `held`: the project has the room, or the blob was counted before. `over`: it does not fit into what is left of the
 * quota. `cold`: nothing is known of the project, count it. `unreachable`: this ledger cannot tell now.
 */
export type Room =
  | { readonly kind: 'held' | 'cold' | 'unreachable' }
  | { readonly kind: 'over'; readonly usedBytes: number };

/** The sizes of all that a project has, by digest. */
export type Counting = () => Promise<ReadonlyMap<Digest, number>>;

/**
 * What projects with a quota take, each blob once, and what pushes under way have room for. Never the truth: the links
 * of the store are, from which it is counted again (`recount`).
 */
export interface UsageLedger {
  /** Bytes that the project takes, and that are held for pushes; undefined: this ledger does not know now. */
  total(project: CountedProject, signal: AbortSignal): Promise<number | undefined>;
  /** Atomic: of several at once those get room that fit. The room is held until it is settled or given back. */
  reserve(project: CountedProject, request: RoomRequest, signal: AbortSignal): Promise<Room>;
  /** The blob is linked. False: it could not be noted, and the project is to be counted again. */
  settle(project: CountedProject, blob: CountedBlob, signal: AbortSignal): Promise<boolean>;
  /** The push failed. Takes nothing away from others that push the same blob. */
  release(project: CountedProject, request: RoomRequest, signal: AbortSignal): Promise<void>;
  /**
   * Counts the project and takes the outcome over, with what pushes reserved meanwhile. False when the ledger cannot be
   * reached. Throws what `count` throws.
   */
  recount(project: CountedProject, count: Counting, signal: AbortSignal): Promise<boolean>;
}

/** Room for a push that neither settled it nor gave it back is free after so long: its process died. */
export const ABANDONED_MS = 60 * 60 * 1000;
