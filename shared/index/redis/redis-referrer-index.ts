import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import type { ReferrerIndex } from '../ports.ts';
import { changes, type CoherentCache } from './coherent-cache.ts';
import { referrersCacheKey } from './redis-keys.ts';

/** Lists of referrers of the store, kept in Redis. */
export class RedisReferrerIndex implements ReferrerIndex {
  readonly #inner: ReferrerIndex;
  readonly #cache: CoherentCache;

  constructor(inner: ReferrerIndex, cache: CoherentCache) {
    this.#inner = inner;
    this.#cache = cache;
  }

  async list(
    repository: RepositoryName,
    subject: Digest,
    signal: AbortSignal,
  ): Promise<Descriptor[]> {
    const load = (s: AbortSignal): Promise<Descriptor[]> =>
      this.#inner.list(repository, subject, s);
    return (await this.#cache.read(referrersCacheKey(repository, subject), load, signal)) ?? [];
  }

  add(
    repository: RepositoryName,
    subject: Digest,
    referrer: Descriptor,
    signal: AbortSignal,
  ): Promise<void> {
    const mutation = changes<Descriptor[]>(referrersCacheKey(repository, subject), (before) =>
      [...without(before, referrer.digest), referrer].sort(byDigest),
    );
    return this.#cache.mutate(
      [mutation],
      (s) => this.#inner.add(repository, subject, referrer, s),
      signal,
    );
  }

  remove(
    repository: RepositoryName,
    subject: Digest,
    referrer: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    const mutation = changes<Descriptor[]>(referrersCacheKey(repository, subject), (before) =>
      without(before, referrer),
    );
    return this.#cache.mutate(
      [mutation],
      (s) => this.#inner.remove(repository, subject, referrer, s),
      signal,
    );
  }
}

const without = (list: readonly Descriptor[], digest: Digest): Descriptor[] =>
  list.filter((descriptor) => descriptor.digest !== digest);

const byDigest = (a: Descriptor, b: Descriptor): number => (a.digest < b.digest ? -1 : 1);
