const MAX_SECONDS = 600;
/** Numbers above this are no seconds but a point in time: Docker Hub once sent Unix time (hub-feedback#2459). */
const UNIX_TIME_FROM = 1_000_000_000;

/**
 * Seconds to wait by a `Retry-After` header: a number, an HTTP date or Unix time; clamped to 1 s … 10 min. Undefined
 * where there is none, or none that can be read.
 */
export function parseRetryAfter(header: string | undefined, now: Date): number | undefined {
  const seconds = secondsOf(header?.trim() ?? '', now);
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(Math.ceil(seconds), 1), MAX_SECONDS);
}

function secondsOf(value: string, now: Date): number {
  if (/^\d{1,15}(?:\.\d{1,9})?$/.test(value)) {
    const number = Number(value);
    return number < UNIX_TIME_FROM ? number : number - now.getTime() / 1000;
  }
  return (Date.parse(value) - now.getTime()) / 1000;
}
