import type { Clock } from '../../shared/lifecycle/clock.ts';

/** The promise's value; undefined when it rejects or takes longer than `ms`. */
export async function inTime<Value>(
  promise: Promise<Value>,
  ms: number,
  clock: Clock,
): Promise<Value | undefined> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then(
    () => undefined,
    () => undefined,
  );
  try {
    return await Promise.race([promise, late]);
  } catch {
    return undefined;
  } finally {
    done.abort();
    promise.catch(() => undefined);
  }
}
