import type { Clock } from '../../../shared/lifecycle/clock.ts';

/** So many failures in a row, without one answer in between, open the breaker. */
const FAILURES = 5;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;

/** `unreachable`: no answer came. `server-error`: one of 500 and above. */
export type BreakerFailure = 'unreachable' | 'server-error';

/** One question that the breaker let through. The first of the last three calls counts. */
export interface Attempt {
  /** It has waited for so long that it counts as failed; an answer that comes yet counts as one all the same. */
  hangs(): void;
  /** The upstream answered, whatever it said. */
  answered(): void;
  failed(failure: BreakerFailure): void;
  /** Nothing was learned: whoever asked left. */
  abandoned(): void;
}

export interface CircuitBreakerOptions {
  readonly clock: Clock;
  /** 0 … 1; spreads the probes of several processes. */
  readonly random?: () => number;
  readonly onChange?: (isOpen: boolean) => void;
}

/**
 * Keeps questions from an upstream that does not answer. After five failures in a row it opens for a second, doubled
 * each time up to half a minute, less up to half of it at random; then one question at a time may try, and any answer
 * closes it. Errors of 500 and above that all came for one repository never open it: they may be that repository's own.
 */
export class CircuitBreaker {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #onChange: (isOpen: boolean) => void;
  #failures = 0;
  #wasUnreachable = false;
  /** Bounded: only as long as the breaker is closed, and by its failures. */
  readonly #failedRepositories = new Set<string>();
  #openings = 0;
  #openUntilMs: number | undefined;
  #isProbing = false;

  constructor({ clock, random = Math.random, onChange = () => undefined }: CircuitBreakerOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#onChange = onChange;
  }

  /** Open, or half open: what is held is then served without asking. */
  get isOpen(): boolean {
    return this.#openUntilMs !== undefined;
  }

  /** The pause is over, and nobody tries. */
  get isProbeDue(): boolean {
    return (
      this.#openUntilMs !== undefined &&
      !this.#isProbing &&
      this.#clock.monotonicMs() >= this.#openUntilMs
    );
  }

  /** At least a second: when the next try is due. */
  get retryAfterSeconds(): number {
    const leftMs = (this.#openUntilMs ?? 0) - this.#clock.monotonicMs();
    return Math.max(Math.ceil(leftMs / 1000), 1);
  }

  /** Leave to ask about a repository, or undefined. The attempt must be told what came of it. */
  enter(repository: string): Attempt | undefined {
    const isProbe = this.isProbeDue;
    if (this.isOpen && !isProbe) return undefined;
    if (isProbe) this.#isProbing = true;
    let isOver = false;
    let isCounted = false;
    const once = (act: () => void): void => {
      if (isOver) return;
      isOver = true;
      if (isProbe && !isCounted) this.#isProbing = false;
      act();
    };
    const fail = (failure: BreakerFailure): void => {
      if (isCounted) return;
      isCounted = true;
      if (isProbe) this.#isProbing = false;
      this.#fail(failure, repository, isProbe);
    };
    return {
      hangs: () => {
        if (!isOver) fail('unreachable');
      },
      answered: () => once(() => this.#close()),
      failed: (failure) => once(() => fail(failure)),
      abandoned: () => once(() => undefined),
    };
  }

  #close(): void {
    const wasOpen = this.isOpen;
    this.#failures = 0;
    this.#wasUnreachable = false;
    this.#failedRepositories.clear();
    this.#openings = 0;
    this.#openUntilMs = undefined;
    this.#isProbing = false;
    if (wasOpen) this.#onChange(false);
  }

  #fail(failure: BreakerFailure, repository: string, isProbe: boolean): void {
    // What began before it opened, and fails only now, tells nothing new.
    if (this.isOpen && !isProbe) return;
    this.#failures += 1;
    this.#wasUnreachable ||= failure === 'unreachable';
    if (this.#failedRepositories.size < 2) this.#failedRepositories.add(repository);
    const isOfUpstream = this.#wasUnreachable || this.#failedRepositories.size > 1;
    if (this.isOpen || (this.#failures >= FAILURES && isOfUpstream)) this.#open();
  }

  #open(): void {
    const wasOpen = this.isOpen;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#openings, MAX_PAUSE_MS);
    this.#openings = Math.min(this.#openings + 1, 30);
    this.#openUntilMs = this.#clock.monotonicMs() + pauseMs * (1 - this.#random() / 2);
    if (!wasOpen) this.#onChange(true);
  }
}
