import type { Failure } from './upstream/outcome.ts';

/** What came of asking an upstream for a tag. `moved`: it names another manifest than the one that is held. */
export type TagAnswer =
  | 'confirmed'
  | 'moved'
  | Exclude<Failure['kind'], 'unavailable'>
  | Extract<Failure, { kind: 'unavailable' }>['reason'];

/** `too-old`: held, but last confirmed longer ago than the upstream's `maxStaleSeconds`. */
export type Holding = 'held' | 'too-old' | 'unheld';

/**
 * What becomes of the tag.
 *   serve          what is held is up to date
 *   fetch          the upstream's manifest is fetched, stored and served
 *   serve-stale    what is held is served, with a warning
 *   drop           404, and the held tag goes; what it named stays readable by digest
 *   not-found      404 MANIFEST_UNKNOWN
 *   denied         403 DENIED: the client goes on to the upstream with a login of its own; blocked here, with the reason
 *   unavailable    503 with Retry-After. Never 404, which would be a lie, and never 429, at which clients wait or
 *                  hammer (wire: containerd repeats it at once, podman sleeps)
 */
export type TagDecision =
  'serve' | 'fetch' | 'serve-stale' | 'drop' | 'not-found' | 'denied' | 'unavailable';

type Decisions = Readonly<Record<Holding, TagDecision>>;

const FETCHED: Decisions = { held: 'fetch', 'too-old': 'fetch', unheld: 'fetch' };
const NOT_TOLD: Decisions = {
  held: 'serve-stale',
  'too-old': 'unavailable',
  unheld: 'unavailable',
};

/** Answer x holding: the whole policy, as docs/mirror.md has it. */
const TAG_DECISIONS: Readonly<Record<TagAnswer, Decisions>> = {
  confirmed: { held: 'serve', 'too-old': 'serve', unheld: 'fetch' },
  moved: FETCHED,
  'not-found': { held: 'drop', 'too-old': 'drop', unheld: 'not-found' },
  denied: { held: 'serve-stale', 'too-old': 'denied', unheld: 'denied' },
  blocked: { held: 'denied', 'too-old': 'denied', unheld: 'denied' },
  limited: NOT_TOLD,
  timeout: NOT_TOLD,
  connection: NOT_TOLD,
  'server-error': NOT_TOLD,
  paused: NOT_TOLD,
  garbage: NOT_TOLD,
  redirect: NOT_TOLD,
  realm: NOT_TOLD,
  'digest-mismatch': NOT_TOLD,
};

/** Where the upstream's `onDeletedTag` is `keep`: what is held counts as stale, as long as it may. */
const KEPT: Decisions = { held: 'serve-stale', 'too-old': 'not-found', unheld: 'not-found' };

export function decideTag(
  answer: TagAnswer,
  holding: Holding,
  onDeletedTag: 'drop' | 'keep',
): TagDecision {
  const decisions =
    answer === 'not-found' && onDeletedTag === 'keep' ? KEPT : TAG_DECISIONS[answer];
  return decisions[holding];
}

/** The row of the table that a failure is in. */
export const answerOf = (failure: Failure): TagAnswer =>
  failure.kind === 'unavailable' ? failure.reason : failure.kind;

/** `ageMs`: since the tag was last confirmed; undefined when nobody knows, which no limit allows. */
export function holdingOf(
  isHeld: boolean,
  ageMs: number | undefined,
  maxStaleMs: number | undefined,
): Holding {
  if (!isHeld) return 'unheld';
  if (maxStaleMs === undefined) return 'held';
  return ageMs !== undefined && ageMs <= maxStaleMs ? 'held' : 'too-old';
}
