import { list, wholeNumber } from './value-schemas.ts';
import type { Variable } from './variable.ts';

const YEAR_SECONDS = 366 * 24 * 3600;

/** How much the mirror's cache may take, and what goes first. */
export const CACHE_VARIABLES = {
  CACHE_MAX_BYTES: {
    reader: 'mirror',
    description:
      'What cached images may take in the store, of all upstreams together; `cacheBytes` in `UPSTREAMS` is for one of them. The longest unused are evicted. What was pushed neither counts nor goes.',
    schema: wholeNumber(1),
    fallbackNote: 'no limit',
  },
  CACHE_HIGH_WATER_PERCENT: {
    reader: 'mirror',
    description: 'Eviction begins when more than this part of a cache budget is taken.',
    schema: wholeNumber(1, 100),
    fallback: '95',
  },
  CACHE_LOW_WATER_PERCENT: {
    reader: 'mirror',
    description: 'Eviction goes on until no more than this part of the budget is taken.',
    schema: wholeNumber(0, 100),
    fallback: '85',
  },
  CACHE_MIN_AGE_SECONDS: {
    reader: 'mirror',
    description: 'What was pulled within this time is not evicted, whatever the budget.',
    schema: wholeNumber(0, YEAR_SECONDS),
    fallback: '3600',
  },
  CACHE_PINS: {
    reader: 'mirror',
    description:
      'References of cached images that are never evicted, `*` for any part: `docker.io/library/node:22*`, `ghcr.io/org/*`. `twinport pin` adds others while the mirror runs.',
    schema: list(
      /^[a-z0-9*][a-z0-9._/*-]*(?::[A-Za-z0-9_*][A-Za-z0-9._*-]*)?(?:@sha(?:256|512):[0-9a-f]+)?$/,
      'must be a list of references, with * for any part, separated by commas',
    ),
  },
  CACHE_EVICTION_INTERVAL_SECONDS: {
    reader: 'mirror',
    description:
      'How often the cache is held against its budget; sooner when much was stored meanwhile.',
    schema: wholeNumber(1, YEAR_SECONDS),
    fallback: '600',
  },
} as const satisfies Record<string, Variable>;
