import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import type { ManifestTypeIndex } from '../ports.ts';
import { becomes, type CoherentCache } from './coherent-cache.ts';
import { manifestTypeCacheKey } from './redis-keys.ts';

/**
 * Media types of the store, kept in Redis. Not in the process as well: the same bytes may be pushed again under
 * another type, and then the last one counts on every replica.
 */
export class RedisManifestTypeIndex implements ManifestTypeIndex {
  readonly #inner: ManifestTypeIndex;
  readonly #cache: CoherentCache;

  constructor(inner: ManifestTypeIndex, cache: CoherentCache) {
    this.#inner = inner;
    this.#cache = cache;
  }

  get(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const load = (s: AbortSignal): Promise<string | undefined> =>
      this.#inner.get(repository, digest, s);
    return this.#cache.read(manifestTypeCacheKey(repository, digest), load, signal);
  }

  put(
    repository: RepositoryName,
    digest: Digest,
    mediaType: string,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#cache.mutate(
      [becomes(manifestTypeCacheKey(repository, digest), mediaType)],
      (s) => this.#inner.put(repository, digest, mediaType, s),
      signal,
    );
  }
}
