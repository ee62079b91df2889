import type { Clock } from '../lifecycle/clock.ts';

/** Made once: an error of its own for each timer would cost a stack trace. */
const OVER = new Error('the wait is over');

/** The promise's value, or undefined when it takes longer than `ms`. The work goes on. */
export async function within<Value>(
  promise: Promise<Value>,
  ms: number,
  clock: Clock,
): Promise<Value | undefined> {
  const late = Promise.withResolvers<undefined>();
  const isLate = (): void => late.resolve(undefined);
  let endTimer: () => void;
  // What is ready in this turn of the event loop needs no timer: to make and to end one costs more than a small answer.
  const beginning = setImmediate(() => {
    const done = new AbortController();
    endTimer = () => done.abort(OVER);
    clock.sleep(ms, done.signal).then(isLate, isLate);
  });
  endTimer = () => clearImmediate(beginning);
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    endTimer();
  }
}
