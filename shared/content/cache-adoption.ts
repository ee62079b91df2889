import pLimit from 'p-limit';

import { createStoreIndex } from '../index/store/create-store-index.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { crashPoint } from '../lifecycle/crash-point.ts';
import { firstSegment, parseRepositoryName, type RepositoryName } from '../oci/reference.ts';
import {
  foreignProxyCacheKey,
  repositoriesFolder,
  repositoryFolder,
} from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { cachedRepository, type UpstreamEntry, type UpstreamRepository } from './upstream-entry.ts';

/** Of one repository's links this many are written at once. */
const AT_ONCE = 16;

export interface AdoptedRepository {
  readonly from: RepositoryName;
  /** Undefined: the name is too long there, and the repository stays out of the cache. */
  readonly to: RepositoryName | undefined;
}

/**
 * Takes over the proxy cache of the CNCF distribution registry for one upstream. Each repository's links are written
 * under the upstream's project, behind a marker that says that nobody has proved it public yet; then the old ones go.
 * The expiry list at the root, by which both roles know such a store and refuse it, goes last: whatever breaks off
 * before that is done again from where it stands, and nothing is served meanwhile.
 */
export class CacheAdoption {
  readonly #records: RecordStore;
  readonly #upstream: UpstreamEntry;

  constructor(records: RecordStore, upstream: UpstreamEntry) {
    this.#records = records;
    this.#upstream = upstream;
  }

  /** Each repository after it was taken over; `isDry`: as it would be. */
  async *run(isDry: boolean, signal: AbortSignal): AsyncGenerator<AdoptedRepository> {
    const { project } = this.#upstream;
    // The catalog is a listing of the store, which a move changes: it is read whole first.
    const found = await all(this.#repositories(repositoriesFolder, '', signal));
    for (const from of found) {
      if (firstSegment(from) === project && (await this.#isMarked(from, signal))) continue;
      const to = cachedRepository(this.#upstream, from);
      if (to && !isDry) await this.#move(from, to, signal);
      yield { from, to: to?.cached };
    }
    if (!isDry) await this.#records.delete(foreignProxyCacheKey, signal);
  }

  async *#repositories(
    folder: string,
    name: string,
    signal: AbortSignal,
  ): AsyncGenerator<RepositoryName> {
    const children = await this.#records.list(folder, {}, signal);
    const repository = parseRepositoryName(name);
    const isRepository = children.some(
      (child) => child.name === '_manifests' || child.name === '_layers',
    );
    if (repository && isRepository) yield repository;
    for (const child of children) {
      if (!child.isFolder || child.name.startsWith('_')) continue;
      const below = name === '' ? child.name : `${name}/${child.name}`;
      yield* this.#repositories(`${folder}/${child.name}`, below, signal);
    }
  }

  async #isMarked(repository: RepositoryName, signal: AbortSignal): Promise<boolean> {
    const { origins } = createStoreIndex(this.#records, systemClock);
    return (await origins.get(repository, signal)) !== undefined;
  }

  async #move(from: RepositoryName, to: UpstreamRepository, signal: AbortSignal): Promise<void> {
    const { origins } = createStoreIndex(this.#records, systemClock);
    const source = repositoryFolder(from);
    const target = repositoryFolder(to.cached);
    if ((await origins.get(to.cached, signal)) === undefined) {
      const marker = {
        schemaVersion: 1,
        upstreamUrl: this.#upstream.url,
        upstreamRepository: to.upstreamRepository,
        verdict: 'unknown',
      } as const;
      await origins.put(to.cached, marker, signal);
    }
    crashPoint('adopt.marked');
    const limit = pLimit(AT_ONCE);
    // Blobs and manifests first: a tag never comes before what it names.
    for (const part of ['_layers', '_manifests/revisions', '_manifests/tags']) {
      const keys = await all(this.#keys(`${source}/${part}`, signal));
      await Promise.all(keys.map((key) => limit(() => this.#copy(key, source, target, signal))));
    }
    crashPoint('adopt.copied');
    for (const part of ['_manifests', '_layers', '_uploads']) {
      await this.#records.deleteTree(`${source}/${part}`, signal);
    }
  }

  async #copy(key: string, source: string, target: string, signal: AbortSignal): Promise<void> {
    const bytes = await this.#records.get(key, signal);
    if (bytes) await this.#records.put(`${target}${key.slice(source.length)}`, bytes, signal);
  }

  /** Every link below a folder. */
  async *#keys(folder: string, signal: AbortSignal): AsyncGenerator<string> {
    for (const child of await this.#records.list(folder, {}, signal)) {
      const key = `${folder}/${child.name}`;
      if (child.isFolder) yield* this.#keys(key, signal);
      else if (child.name === 'link') yield key;
    }
  }
}

async function all<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const found: Value[] = [];
  for await (const value of values) found.push(value);
  return found;
}
