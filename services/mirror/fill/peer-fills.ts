import type { Readable } from 'node:stream';

import type { Digest } from '../../../shared/oci/digest.ts';

/** What a process asks another one, whose fill it wants to follow. */
export interface PeerQuestion {
  readonly digest: Digest;
  readonly fromByte: number;
  /** For whom (see readerKey). */
  readonly reader: string;
  /** That reader's own upstream has shown that the blob is its own. */
  readonly isProved: boolean;
}

/** The bytes of another process's fill. */
export interface FollowedFill {
  readonly kind: 'following';
  readonly totalBytes: number;
  /** From the byte that was asked for, to the last one; not verified. */
  readonly body: Readable;
  /** For how long the other one has owed bytes. */
  idleMs(): number;
  /** Resolves when the other one has stored the blob, has failed to, or is gone. */
  readonly storeOver: Promise<void>;
  /** Lets go of the other one. */
  close(): void;
}

/** Anything but `following` is told without bytes. */
export type PeerAnswer =
  | FollowedFill
  /** The upstream has not answered the other one yet. */
  | { readonly kind: 'pending' }
  /** The reader's own upstream must show first that the blob is its own. */
  | { readonly kind: 'unproved' }
  /** No such fill, or none that may be followed. */
  | { readonly kind: 'absent' }
  /** The other one does not have the byte any more. */
  | { readonly kind: 'behind' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'unreachable' };

/** The fills of other processes. */
export interface PeerFills {
  /** Rejects only with the reason of `signal`. */
  open(url: string, question: PeerQuestion, signal: AbortSignal): Promise<PeerAnswer>;
}
