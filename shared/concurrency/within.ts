import type { Clock } from '../lifecycle/clock.ts';

/** The promise's value, or undefined when it takes longer than `ms`. The work goes on. */
export async function within<Value>(
  promise: Promise<Value>,
  ms: number,
  clock: Clock,
): Promise<Value | undefined> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then(
    () => undefined,
    () => undefined,
  );
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    done.abort();
  }
}
