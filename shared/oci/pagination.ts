import { registryError } from './errors.ts';

/** One page of a sorted list, as asked for (distribution-spec, spec.md#listing-tags). */
export interface PageRequest {
  /** How many entries at most. */
  readonly size: number;
  /** Entries after this one only; it need not exist. */
  readonly last: string | undefined;
}

export interface PageLimits {
  /** Without `n`. */
  readonly defaultSize: number;
  /** A larger `n` gets this many. */
  readonly maxSize: number;
}

export interface Page<Entry extends string> {
  readonly entries: Entry[];
  /** The `last` of the next page; undefined when this is the end. */
  readonly next: Entry | undefined;
}

/** Reads `n` and `last`. Throws PAGINATION_NUMBER_INVALID for an `n` that is not a plain decimal number. */
export function parsePageRequest(query: URLSearchParams, limits: PageLimits): PageRequest {
  const n = query.get('n');
  const last = query.get('last') ?? undefined;
  if (n === null || n === '') return { size: limits.defaultSize, last };
  if (!/^\d{1,15}$/.test(n)) {
    throw registryError('PAGINATION_NUMBER_INVALID', { detail: { n: n.slice(0, 32) } });
  }
  return { size: Math.min(Number(n), limits.maxSize), last };
}

/** Cuts one page out of entries sorted by bytes. A page of no entries has no next one. */
export function cutPage<Entry extends string>(
  sorted: readonly Entry[],
  request: PageRequest,
): Page<Entry> {
  const start = request.last === undefined ? 0 : firstAfter(sorted, request.last);
  const entries = sorted.slice(start, start + request.size);
  const hasMore = start + entries.length < sorted.length;
  return { entries, next: hasMore ? entries.at(-1) : undefined };
}

function firstAfter(sorted: readonly string[], last: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') > last) high = middle;
    else low = middle + 1;
  }
  return low;
}
