/** Failures in a row after which it pauses. */
const MAX_CREDIT = 5;
/** What a success gives back of a failure: in the long run at most one in so many may fail. */
const CREDIT_PER_SUCCESS = 0.05;
const PAUSE_MS = 30_000;

/**
 * Whether a way that is quicker, but has another one behind it, is worth trying: while it fails now and then alone.
 * Otherwise it pauses for half a minute and is then tried once, so that whoever answers is not asked twice for long.
 */
export class ReadTrust {
  readonly #now: () => number;
  #credit = MAX_CREDIT;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  /** `now` in milliseconds of a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get isGiven(): boolean {
    return this.#now() >= this.#pausedUntilMs;
  }

  succeeded(): void {
    this.#credit = Math.min(MAX_CREDIT, this.#credit + CREDIT_PER_SUCCESS);
  }

  failed(): void {
    this.#credit = Math.max(0, this.#credit - 1);
    if (this.#credit < 1) this.#pausedUntilMs = this.#now() + PAUSE_MS;
  }
}
