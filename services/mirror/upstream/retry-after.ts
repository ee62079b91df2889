const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 600;
/** Numbers above this are no seconds but a point in time: Docker Hub once sent Unix time (hub-feedback#2459). */
const UNIX_TIME_FROM = 1_000_000_000;

/** Seconds to wait by a `Retry-After` header: a number, an HTTP date or Unix time; clamped to 1 s … 10 min. */
export function parseRetryAfter(header: string | undefined, now: Date): number {
  return Math.min(Math.max(Math.ceil(secondsOf(header?.trim() ?? '', now)), 1), MAX_SECONDS);
}

function secondsOf(value: string, now: Date): number {
  if (/^\d{1,15}$/.test(value)) {
    const number = Number(value);
    return number < UNIX_TIME_FROM ? number : number - now.getTime() / 1000;
  }
  const date = Date.parse(value);
  return Number.isNaN(date) ? DEFAULT_SECONDS : (date - now.getTime()) / 1000;
}
