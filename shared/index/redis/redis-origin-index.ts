import type { RepositoryName } from '../../oci/reference.ts';
import type { OriginIndex, OriginMarker } from '../ports.ts';
import { becomes, type CoherentCache } from './coherent-cache.ts';
import { originCacheKey } from './redis-keys.ts';

/** Origin markers of the store, kept in Redis. */
export class RedisOriginIndex implements OriginIndex {
  readonly #inner: OriginIndex;
  readonly #cache: CoherentCache;

  constructor(inner: OriginIndex, cache: CoherentCache) {
    this.#inner = inner;
    this.#cache = cache;
  }

  get(repository: RepositoryName, signal: AbortSignal): Promise<OriginMarker | undefined> {
    const load = (s: AbortSignal): Promise<OriginMarker | undefined> =>
      this.#inner.get(repository, s);
    return this.#cache.read(originCacheKey(repository), load, signal);
  }

  put(repository: RepositoryName, marker: OriginMarker, signal: AbortSignal): Promise<void> {
    return this.#cache.mutate(
      [becomes(originCacheKey(repository), marker)],
      (s) => this.#inner.put(repository, marker, s),
      signal,
    );
  }
}
