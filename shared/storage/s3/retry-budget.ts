import type { S3ClientConfig } from '@aws-sdk/client-s3';

type RetryStrategy = Exclude<
  NonNullable<S3ClientConfig['retryStrategy']>,
  { retry: (...args: never[]) => unknown }
>;
type Token = Awaited<ReturnType<RetryStrategy['acquireInitialRetryToken']>>;
type ErrorInfo = Parameters<RetryStrategy['refreshRetryTokenForRetry']>[1];

interface RetryLimits {
  /** The first try included. */
  readonly maxAttempts: number;
  /** How many retries may be made at once after a quiet time. */
  readonly burst: number;
  /** How many retries each request, or each success, adds to what may be made. */
  readonly share: number;
}

export interface RetryOptions {
  /** Of what failed, nobody knows how far; earned by requests. */
  readonly transient: RetryLimits;
  /** Of what a store that is busy refused at once; earned by what it did not refuse. */
  readonly refused: RetryLimits;
}

/**
 * For each request at most so much, in the long run, on top of what it asks: retries must not keep a store down. What a
 * busy store refused cost it little, and is surely not done: a store that refuses a third of what it is asked is still
 * one to push to, at half a retry for each success. One that refuses everything gets none. Eight tries take 6 s at the
 * most, and 3 s as a rule, of the 9.5 s that an operation has.
 */
export const DEFAULT_RETRIES: RetryOptions = {
  transient: { maxAttempts: 4, burst: 200, share: 0.1 },
  refused: { maxAttempts: 8, burst: 200, share: 0.5 },
};

/** Before the first retry; doubled for each further one, and of that a random part is waited. */
const DELAYS_MS = { transient: { base: 50, most: 4_000 }, refused: { base: 100, most: 1_500 } };
/** The longest wait that a store may ask for. */
const MAX_HINT_MS = 4_000;
/** What S3 says by it is SlowDown or ServiceUnavailable; the answer to a HEAD has no room for the word. */
const BUSY_STATUS = 503;

type Failure = keyof RetryOptions;

/**
 * The retries of one process towards its store. While the store is well, whatever fails now and then is tried again;
 * when everything fails, retries are a tenth of the requests, or none when the store refuses them all, and the other
 * failures are told to the clients at once.
 */
export class RetryBudget implements RetryStrategy {
  readonly #options: RetryOptions;
  readonly #left: Record<Failure, number>;

  constructor(options: RetryOptions = DEFAULT_RETRIES) {
    this.#options = options;
    this.#left = { transient: options.transient.burst, refused: options.refused.burst };
  }

  /** Of a request that was answered without the SDK, and adds its shares too. */
  countAnswered(): void {
    this.#earn('transient');
    this.#earn('refused');
  }

  acquireInitialRetryToken(): Promise<Token> {
    this.#earn('transient');
    return Promise.resolve(token(0, 0));
  }

  /** Rejects when there is to be no further try; the SDK then throws what the last one ended with. */
  refreshRetryTokenForRetry(last: Token, error: ErrorInfo): Promise<Token> {
    const { retryAfterHint } = error;
    const kind = failureOf(error);
    const retries = last.getRetryCount() + 1;
    const mayRetry = kind && retries < this.#options[kind].maxAttempts && this.#left[kind] >= 1;
    if (!mayRetry) return Promise.reject(new Error('not tried again'));
    this.#left[kind] -= 1;
    const { base, most } = DELAYS_MS[kind];
    const upTo = Math.min(base * 2 ** (retries - 1), most);
    const asked = retryAfterHint === undefined ? 0 : retryAfterHint.getTime() - Date.now();
    const delayMs = Math.max(Math.random() * upTo, Math.min(asked, MAX_HINT_MS));
    return Promise.resolve(token(retries, Math.floor(delayMs)));
  }

  recordSuccess(): void {
    this.#earn('refused');
  }

  #earn(kind: Failure): void {
    const { burst, share } = this.#options[kind];
    this.#left[kind] = Math.min(burst, this.#left[kind] + share);
  }
}

/** Undefined: trying again would not help. */
function failureOf({ errorType, error }: ErrorInfo): Failure | undefined {
  if (errorType === 'THROTTLING') return 'refused';
  if (errorType !== 'TRANSIENT') return undefined;
  const { $metadata } = (error ?? {}) as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode === BUSY_STATUS ? 'refused' : 'transient';
}

const token = (retries: number, delayMs: number): Token => ({
  getRetryCount: () => retries,
  getRetryDelay: () => delayMs,
});
