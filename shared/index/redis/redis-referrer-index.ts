import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import type { ReferrerIndex } from '../ports.ts';
import { changes, type CoherentCache } from './coherent-cache.ts';
import { referrersCacheKey } from './redis-keys.ts';

/** Longer lists are read from the store each time, so that none has to be in memory as a whole. */
const MAX_LIST_LENGTH = 512 * 1024;
const TOO_LONG = 'too long';

type CachedList = readonly Descriptor[] | typeof TOO_LONG;

/** Lists of referrers of the store, kept in Redis; of a long one, that it is long. */
export class RedisReferrerIndex implements ReferrerIndex {
  readonly #inner: ReferrerIndex;
  readonly #cache: CoherentCache;

  constructor(inner: ReferrerIndex, cache: CoherentCache) {
    this.#inner = inner;
    this.#cache = cache;
  }

  async *list(
    repository: RepositoryName,
    subject: Digest,
    after: Digest | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Descriptor[]> {
    const load = (s: AbortSignal): Promise<CachedList> => this.#load(repository, subject, s);
    const key = referrersCacheKey(repository, subject);
    const cached = (await this.#cache.read(key, load, signal)) ?? [];
    if (cached === TOO_LONG) yield* this.#inner.list(repository, subject, after, signal);
    else yield after === undefined ? cached : cached.filter(({ digest }) => digest > after);
  }

  add(
    repository: RepositoryName,
    subject: Digest,
    referrer: Descriptor,
    signal: AbortSignal,
  ): Promise<void> {
    const mutation = changes<CachedList>(referrersCacheKey(repository, subject), (before) =>
      before === TOO_LONG
        ? TOO_LONG
        : [...without(before, referrer.digest), referrer].sort(byDigest),
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
    const mutation = changes<CachedList>(referrersCacheKey(repository, subject), (before) =>
      before === TOO_LONG ? TOO_LONG : without(before, referrer),
    );
    return this.#cache.mutate(
      [mutation],
      (s) => this.#inner.remove(repository, subject, referrer, s),
      signal,
    );
  }

  async #load(
    repository: RepositoryName,
    subject: Digest,
    signal: AbortSignal,
  ): Promise<CachedList> {
    const list: Descriptor[] = [];
    let length = 0;
    for await (const batch of this.#inner.list(repository, subject, undefined, signal)) {
      length += JSON.stringify(batch).length;
      if (length > MAX_LIST_LENGTH) return TOO_LONG;
      list.push(...batch);
    }
    return list;
  }
}

const without = (list: readonly Descriptor[], digest: Digest): Descriptor[] =>
  list.filter((descriptor) => descriptor.digest !== digest);

const byDigest = (a: Descriptor, b: Descriptor): number => (a.digest < b.digest ? -1 : 1);
