import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName, Tag } from '../../oci/reference.ts';
import type { TagIndex } from '../ports.ts';
import { becomes, changes, type CoherentCache } from './coherent-cache.ts';
import { tagCacheKey, tagListCacheKey } from './redis-keys.ts';

/** Tags and lists of tags of the store, kept in Redis. */
export class RedisTagIndex implements TagIndex {
  readonly #inner: TagIndex;
  readonly #cache: CoherentCache;

  constructor(inner: TagIndex, cache: CoherentCache) {
    this.#inner = inner;
    this.#cache = cache;
  }

  get(repository: RepositoryName, tag: Tag, signal: AbortSignal): Promise<Digest | undefined> {
    const load = (s: AbortSignal): Promise<Digest | undefined> =>
      this.#inner.get(repository, tag, s);
    return this.#cache.read(tagCacheKey(repository, tag), load, signal);
  }

  set(repository: RepositoryName, tag: Tag, digest: Digest, signal: AbortSignal): Promise<void> {
    const mutation = [
      becomes(tagCacheKey(repository, tag), digest),
      changes<Tag[]>(tagListCacheKey(repository), (tags) =>
        tags.includes(tag) ? tags : [...tags, tag].sort(),
      ),
    ];
    return this.#cache.mutate(mutation, (s) => this.#inner.set(repository, tag, digest, s), signal);
  }

  delete(repository: RepositoryName, tag: Tag, signal: AbortSignal): Promise<boolean> {
    const mutation = [
      becomes(tagCacheKey(repository, tag), undefined),
      changes<Tag[]>(tagListCacheKey(repository), (tags) => tags.filter((other) => other !== tag)),
    ];
    return this.#cache.mutate(mutation, (s) => this.#inner.delete(repository, tag, s), signal);
  }

  async list(repository: RepositoryName, signal: AbortSignal): Promise<Tag[]> {
    const load = (s: AbortSignal): Promise<Tag[]> => this.#inner.list(repository, s);
    return (await this.#cache.read(tagListCacheKey(repository), load, signal)) ?? [];
  }
}
