/** Deadlines of one exchange with an upstream, in milliseconds. */
export interface ExchangeDeadlines {
  readonly connectMs: number;
  /** From a sent request to its response headers. */
  readonly headersMs: number;
  /** Between two pieces of a body. */
  readonly idleMs: number;
}

export const DEFAULT_DEADLINES: ExchangeDeadlines = {
  connectMs: 5_000,
  headersMs: 30_000,
  idleMs: 60_000,
};
