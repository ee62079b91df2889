import type { RegistryError } from '../../../shared/oci/errors.ts';

/** Why an upstream could not be asked, or why what it said is of no use. */
export type UnavailableReason =
  | 'timeout'
  | 'connection'
  | 'server-error'
  | 'garbage'
  | 'redirect'
  | 'realm'
  | 'digest-mismatch'
  /** Not asked: it has not answered for a while (circuit-breaker.ts). */
  | 'paused';

/**
 * What came of asking an upstream. Never thrown: every caller must say what each of them means to it. Only `found`,
 * `not-found` and `denied` are statements about content; the others say nothing of it.
 */
export type Outcome<Value> =
  | { readonly kind: 'found'; readonly value: Value }
  | { readonly kind: 'not-found' }
  | {
      readonly kind: 'denied';
      /** The refusal reads like a registry's own (an error body in the spec's form), not like a proxy's in between. */
      readonly isRegistryAnswer: boolean;
    }
  | {
      readonly kind: 'limited';
      readonly retryAfterSeconds: number;
      /** The upstream did not say when to come again. */
      readonly isGuess?: boolean;
      /** The budget of pulls is used up: what is no pull of a manifest may still be asked. */
      readonly isPullLimit?: boolean;
    }
  /** Not asked, or not to be given out: an operator of this registry has blocked it; what a client is told. */
  | { readonly kind: 'blocked'; readonly error: RegistryError }
  | {
      readonly kind: 'unavailable';
      readonly reason: UnavailableReason;
      readonly detail: string;
      /** Where the upstream, or who keeps questions from it, said so. */
      readonly retryAfterSeconds?: number;
    };

const DEFAULT_RETRY_SECONDS = 30;

export type Failure = Exclude<Outcome<never>, { kind: 'found' }>;

export const found = <Value>(value: Value): Outcome<Value> => ({ kind: 'found', value });
export const NOT_FOUND = { kind: 'not-found' } as const;
export const unavailable = (
  reason: UnavailableReason,
  detail: string,
  retryAfterSeconds?: number,
): Extract<Failure, { kind: 'unavailable' }> => ({
  kind: 'unavailable',
  reason,
  detail,
  ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
});

/** A limit, by the `Retry-After` header that came with it or did not. */
export function limitedFor(
  retryAfterSeconds: number | undefined,
): Extract<Failure, { kind: 'limited' }> {
  return retryAfterSeconds === undefined
    ? { kind: 'limited', retryAfterSeconds: DEFAULT_RETRY_SECONDS, isGuess: true }
    : { kind: 'limited', retryAfterSeconds };
}

/** The exchange with an upstream broke; caught inside the client, where it becomes `unavailable`. */
export class UpstreamFault extends Error {
  override readonly name = 'UpstreamFault';
  readonly reason: UnavailableReason;

  constructor(reason: UnavailableReason, message: string, cause?: unknown) {
    super(message, { cause });
    this.reason = reason;
  }
}
