import { z } from 'zod';

const DEFAULT_SIZE = 100;
const MAX_SIZE = 1000;

/** What part of a list is asked for. */
export const PAGE_QUERY = z.object({
  /** How many entries at most. */
  n: z.coerce.number().int().min(1).max(MAX_SIZE).default(DEFAULT_SIZE),
  /** Entries after this one only; it need not exist. */
  last: z.string().max(512).exactOptional(),
});

export type PageQuery = z.output<typeof PAGE_QUERY>;

/** The `last` of the next page; absent at the end. */
export const NEXT = z.string().exactOptional();

export interface ApiPage<Entry> {
  readonly entries: readonly Entry[];
  readonly next?: string;
}

/** As `visiblePage`, of what has names and is in any order. */
export async function visiblePageOf<Entry>(
  all: readonly Entry[],
  nameOf: (entry: Entry) => string,
  query: PageQuery,
  isVisible?: (name: string) => Promise<boolean>,
): Promise<ApiPage<Entry>> {
  const named = new Map(all.map((entry) => [nameOf(entry), entry]));
  const { entries: names, ...rest } = await visiblePage([...named.keys()].sort(), query, isVisible);
  const entries = names.map((name) => named.get(name)).filter((entry) => entry !== undefined);
  return { entries, ...rest };
}

/**
 * One page of sorted names of which somebody sees some, or all: as many of these as were asked for, and no more are
 * looked at than it takes.
 */
export async function visiblePage<Name extends string>(
  sorted: readonly Name[],
  { n, last }: PageQuery,
  isVisible?: (name: Name) => Promise<boolean>,
): Promise<ApiPage<Name>> {
  const entries: Name[] = [];
  for (const name of sorted) {
    if (last !== undefined && name <= last) continue;
    if (isVisible && !(await isVisible(name))) continue;
    const end = entries.at(-1);
    if (entries.length === n && end !== undefined) return { entries, next: end };
    entries.push(name);
  }
  return { entries };
}
