import { within } from '../../../shared/concurrency/within.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { FillRegistry } from './fill-registry.ts';
import type { PeerQuestion } from './peer-fills.ts';
import type { SpoolReader } from './spool-reader.ts';

/** What another process is answered that wants to follow a fill of this one; see PeerAnswer. */
export type FillOffer =
  | {
      readonly kind: 'following';
      readonly totalBytes: number;
      readonly body: SpoolReader;
      /** Resolves when the blob is stored or cannot be. */
      readonly over: Promise<void>;
    }
  | { readonly kind: 'pending' | 'unproved' | 'absent' | 'behind' };

/** How long another process waits for the upstream's answer before it is told to ask again. */
const OPENING_MS = 2_000;

/** The fills of this process that others may follow: those that ask the upstream, and hold nothing private. */
export class OfferedFills {
  readonly #fills: FillRegistry;
  readonly #clock: Clock;

  constructor(fills: FillRegistry, clock: Clock) {
    this.#fills = fills;
    this.#clock = clock;
  }

  /** Whoever gets a body reads it to its end or destroys it. */
  async open({ digest, fromByte, reader, isProved }: PeerQuestion): Promise<FillOffer> {
    const running = this.#fills.find(digest);
    // One that follows another itself is no leader: two that follow each other would wait for ever.
    if (!running?.fill.isLeading) return { kind: 'absent' };
    if (!isProved && !running.repositories.has(reader)) return { kind: 'unproved' };
    const opening = await within(running.fill.opened, OPENING_MS, this.#clock);
    if (!opening) return { kind: 'pending' };
    if (opening.kind !== 'following') return { kind: 'absent' };
    const { body } = opening;
    if (fromByte > body.totalBytes) return { kind: 'absent' };
    const stream = body.read(fromByte, body.totalBytes - fromByte);
    if (!stream)
      return {
        kind: fromByte < body.firstByte && !body.hasFailed ? 'behind' : 'absent',
      };
    return {
      kind: 'following',
      totalBytes: body.totalBytes,
      body: stream,
      over: running.fill.finished,
    };
  }
}
