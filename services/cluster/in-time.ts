import { within } from '../../shared/concurrency/within.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';

/** The promise's value; undefined when it rejects or takes longer than `ms`. */
export function inTime<Value>(
  promise: Promise<Value>,
  ms: number,
  clock: Clock,
): Promise<Value | undefined> {
  return within(
    promise.catch(() => undefined),
    ms,
    clock,
  );
}
