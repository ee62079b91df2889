import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import type { MemberKind, MembershipIndex } from '../ports.ts';
import { becomes, type CoherentCache } from './coherent-cache.ts';
import { memberCacheKey } from './redis-keys.ts';

/** Membership of the store, kept in Redis. */
export class RedisMembershipIndex implements MembershipIndex {
  readonly #inner: MembershipIndex;
  readonly #cache: CoherentCache;

  constructor(inner: MembershipIndex, cache: CoherentCache) {
    this.#inner = inner;
    this.#cache = cache;
  }

  async has(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean> {
    const load = (s: AbortSignal): Promise<boolean> => this.#inner.has(repository, kind, digest, s);
    const key = memberCacheKey(repository, kind, digest);
    return (await this.#cache.read(key, load, signal)) === true;
  }

  add(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#cache.mutate(
      [becomes(memberCacheKey(repository, kind, digest), true)],
      (s) => this.#inner.add(repository, kind, digest, s),
      signal,
    );
  }

  remove(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean> {
    return this.#cache.mutate(
      [becomes(memberCacheKey(repository, kind, digest), false)],
      (s) => this.#inner.remove(repository, kind, digest, s),
      signal,
    );
  }
}
