import type { CacheOutcome, ServedFrom } from '../../shared/content/pull-trace.ts';
import type { ProxyOutcome } from '../../shared/observability/observer.ts';
import type { CachedRepository } from './cached-repository.ts';

const CACHE_OUTCOMES: Readonly<Record<ProxyOutcome, CacheOutcome>> = {
  hit: 'HIT',
  miss: 'MISS',
  join: 'JOINED',
  stale: 'STALE',
  bypass: 'BYPASS',
  // No client gets to see it.
  background: 'MISS',
};

/** What a client is told of how it was served. */
export const servedFrom = (
  { upstream }: CachedRepository,
  outcome: ProxyOutcome,
  ageSeconds?: number,
): ServedFrom => ({ cache: CACHE_OUTCOMES[outcome], upstream: upstream.project, ageSeconds });
