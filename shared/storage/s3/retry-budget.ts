import type { S3ClientConfig } from '@aws-sdk/client-s3';

type RetryStrategy = Exclude<
  NonNullable<S3ClientConfig['retryStrategy']>,
  { retry: (...args: never[]) => unknown }
>;
type Token = Awaited<ReturnType<RetryStrategy['acquireInitialRetryToken']>>;
type ErrorInfo = Parameters<RetryStrategy['refreshRetryTokenForRetry']>[1];

export interface RetryOptions {
  /** The first try included. */
  readonly maxAttempts: number;
  /** How many retries may be made at once after a quiet time. */
  readonly burst: number;
  /** How many retries each request adds to what may be made. */
  readonly share: number;
}

/** For each request at most so much, in the long run, on top of what it asks: retries must not keep a store down. */
export const DEFAULT_RETRIES: RetryOptions = { maxAttempts: 4, burst: 200, share: 0.1 };

/** Before the first retry; doubled for each further one, and of that a random part is waited. */
const BASE_DELAY_MS = { TRANSIENT: 50, THROTTLING: 500 };
const MAX_DELAY_MS = 4_000;

/**
 * The retries of one process towards its store. While the store is well, whatever fails now and then is tried again;
 * when everything fails, retries are a tenth of the requests, and the other failures are told to the clients at once.
 */
export class RetryBudget implements RetryStrategy {
  readonly #options: RetryOptions;
  #left: number;

  constructor(options: RetryOptions = DEFAULT_RETRIES) {
    this.#options = options;
    this.#left = options.burst;
  }

  /** Of a request that is made without the SDK, and adds its share too. */
  countRequest(): void {
    const { burst, share } = this.#options;
    this.#left = Math.min(burst, this.#left + share);
  }

  acquireInitialRetryToken(): Promise<Token> {
    this.countRequest();
    return Promise.resolve(token(0, 0));
  }

  /** Rejects when there is to be no further try; the SDK then throws what the last one ended with. */
  refreshRetryTokenForRetry(last: Token, error: ErrorInfo): Promise<Token> {
    const { errorType, retryAfterHint } = error;
    const retries = last.getRetryCount() + 1;
    const isTransient = errorType === 'TRANSIENT' || errorType === 'THROTTLING';
    if (!isTransient || retries >= this.#options.maxAttempts || this.#left < 1) {
      return Promise.reject(new Error('not tried again'));
    }
    this.#left -= 1;
    const most = Math.min(BASE_DELAY_MS[errorType] * 2 ** (retries - 1), MAX_DELAY_MS);
    const asked = retryAfterHint === undefined ? 0 : retryAfterHint.getTime() - Date.now();
    const delayMs = Math.max(Math.random() * most, Math.min(asked, MAX_DELAY_MS));
    return Promise.resolve(token(retries, Math.floor(delayMs)));
  }

  recordSuccess(): void {
    // What may be retried depends on how much is asked, not on how much of it succeeds.
  }
}

const token = (retries: number, delayMs: number): Token => ({
  getRetryCount: () => retries,
  getRetryDelay: () => delayMs,
});
