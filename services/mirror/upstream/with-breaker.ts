import { within } from '../../../shared/concurrency/within.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { BreakerFailure, CircuitBreaker } from './circuit-breaker.ts';
import { type Outcome, unavailable, type UnavailableReason } from './outcome.ts';
import { routedUpstream, type Upstream } from './routed-upstream.ts';

/** What each reason says of the upstream as a whole; undefined: it answered, if only nonsense. */
const FAILURES: Readonly<Record<UnavailableReason, BreakerFailure | undefined>> = {
  timeout: 'unreachable',
  connection: 'unreachable',
  'server-error': 'server-error',
  paused: undefined,
  garbage: undefined,
  redirect: undefined,
  realm: undefined,
  'digest-mismatch': undefined,
};

/** A question without an answer for so long counts as failed, while it is still waited for. */
const HANGING_MS = 5_000;

/** The upstream as long as it answers; while the breaker is open nobody waits, and nobody is asked. */
export function withBreaker(
  upstream: Upstream,
  breaker: CircuitBreaker,
  { host, clock }: { readonly host: string; readonly clock: Clock },
): Upstream {
  return routedUpstream(
    async <Value>(
      { repository }: { readonly repository: string },
      ask: (client: Upstream) => Promise<Outcome<Value>>,
    ): Promise<Outcome<Value>> => {
      const attempt = breaker.enter(repository);
      if (!attempt) {
        const { retryAfterSeconds } = breaker;
        return unavailable('paused', `${host} has not answered for a while`, retryAfterSeconds);
      }
      try {
        const asked = ask(upstream);
        if (!(await within(asked, HANGING_MS, clock))) attempt.hangs();
        const outcome = await asked;
        const failure = outcome.kind === 'unavailable' ? FAILURES[outcome.reason] : undefined;
        if (failure) attempt.failed(failure);
        // A limit of our own is no answer.
        else if (outcome.kind === 'limited') attempt.abandoned();
        else attempt.answered();
        return outcome;
      } finally {
        attempt.abandoned();
      }
    },
  );
}
