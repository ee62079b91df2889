import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** Named in the error when the time is up. */
  readonly what: string;
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

/** No measurement: what comes at all comes sooner, on a machine however busy. */
const PATIENCE_MS = 60_000;

/**
 * Asks `condition` until it answers something other than undefined or false, and resolves to that.
 * A condition that throws counts as not yet; its last error becomes the cause when the time is up.
 */
export async function waitFor<T>(
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  options: WaitOptions,
): Promise<T> {
  const { what, timeoutMs = PATIENCE_MS, everyMs = 50 } = options;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  do {
    try {
      const answer = await condition();
      if (answer !== undefined && answer !== false) return answer;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await delay(everyMs);
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause: lastError });
}
