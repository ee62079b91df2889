import type { ProjectIndex, ProjectRecord } from '../ports.ts';
import { becomes, changes, type CoherentCache } from './coherent-cache.ts';
import { projectCacheKey } from './redis-keys.ts';

/** Projects of the store, kept in Redis one by one; the list, which start-up alone needs, comes from the store. */
export class RedisProjectIndex implements ProjectIndex {
  readonly #inner: ProjectIndex;
  readonly #cache: CoherentCache;

  constructor(inner: ProjectIndex, cache: CoherentCache) {
    this.#inner = inner;
    this.#cache = cache;
  }

  get(name: string, signal: AbortSignal): Promise<ProjectRecord | undefined> {
    const load = (s: AbortSignal): Promise<ProjectRecord | undefined> => this.#inner.get(name, s);
    return this.#cache.read(projectCacheKey(name), load, signal);
  }

  async create(record: ProjectRecord, signal: AbortSignal): Promise<void> {
    if (await this.get(record.name, signal)) return;
    const mutation = changes<ProjectRecord | undefined>(
      projectCacheKey(record.name),
      (before) => before ?? record,
    );
    await this.#cache.mutate([mutation], (s) => this.#inner.create(record, s), signal);
  }

  async put(record: ProjectRecord, signal: AbortSignal): Promise<void> {
    const mutation = becomes(projectCacheKey(record.name), record);
    await this.#cache.mutate([mutation], (s) => this.#inner.put(record, s), signal);
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    const mutation = becomes(projectCacheKey(name), undefined);
    await this.#cache.mutate([mutation], (s) => this.#inner.remove(name, s), signal);
  }

  list(signal: AbortSignal): Promise<ProjectRecord[]> {
    return this.#inner.list(signal);
  }
}
