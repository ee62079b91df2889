import type { Readable } from 'node:stream';

import type { Clock } from '../../../shared/lifecycle/clock.ts';

const INTERVAL_MS = 60_000;
/** Less than this in an interval is no download: it would keep its place in the spool, and its clients, for days. */
const MIN_BYTES = 64 * 1024;

/** The upstream sends, but next to nothing. */
export class TrickleError extends Error {
  override readonly name = 'TrickleError';
}

/** Notices a sender that trickles: one that sends next to nothing while nobody but it is waited for. */
export class TrickleWatch {
  readonly #clock: Clock;
  #bytes = 0;
  /** How long the bytes of this interval have kept their taker busy. */
  #busyMs = 0;
  #busySinceMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** So many bytes have come, and no more are wanted before the promise settles. */
  came(bytes: number, taken: Promise<void> | undefined): void {
    this.#bytes += bytes;
    if (!taken) return;
    this.#busySinceMs = this.#clock.monotonicMs();
    const isOver = (): void => {
      this.#countBusy();
      this.#busySinceMs = undefined;
    };
    taken.then(isOver, isOver);
  }

  /** Destroys the body with a TrickleError when it trickles. Resolves when it has, or when the signal aborts. */
  async run(body: Readable, signal: AbortSignal): Promise<void> {
    while (await this.#clock.sleep(INTERVAL_MS, signal).then(wakes, ends)) {
      this.#countBusy();
      if (this.#bytes < MIN_BYTES && this.#busyMs < INTERVAL_MS / 2) {
        body.destroy(new TrickleError('the upstream sends next to nothing'));
        return;
      }
      this.#bytes = 0;
      this.#busyMs = 0;
    }
  }

  #countBusy(): void {
    if (this.#busySinceMs === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    this.#busyMs += nowMs - this.#busySinceMs;
    this.#busySinceMs = nowMs;
  }
}

const wakes = (): boolean => true;
const ends = (): boolean => false;
