import type { Failure } from './upstream/outcome.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What a client is told that gets a tag which its upstream did not confirm; `ageMs` since it last did. */
export function staleWarning(failure: Failure, ageMs: number | undefined): string {
  const age = ageMs === undefined ? 'at a time not known' : `${describeAge(ageMs)} ago`;
  return `served from the cache, last confirmed ${age}: ${reasonOf(failure)}`;
}

/** Roughly: `40 s`, `7 min`, `3 h`, `12 days`. */
export function describeAge(ageMs: number): string {
  const seconds = Math.round(ageMs / 1000);
  if (seconds < 2 * MINUTE) return `${seconds} s`;
  if (seconds < 2 * HOUR) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.round(seconds / HOUR)} h`;
  return `${Math.round(seconds / DAY)} days`;
}

function reasonOf(failure: Failure): string {
  switch (failure.kind) {
    case 'not-found':
      return 'the upstream has no such tag any more';
    case 'blocked':
      return failure.error.message;
    case 'denied':
      return 'the upstream denies it';
    case 'limited':
      return "the upstream limits this mirror's requests";
    case 'unavailable':
      return failure.detail;
  }
}
