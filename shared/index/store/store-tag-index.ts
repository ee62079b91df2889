import { crashPoint } from '../../lifecycle/crash-point.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseTag, type RepositoryName, type Tag } from '../../oci/reference.ts';
import { tagCurrentKey, tagFolder, tagHistoryKey, tagsFolder } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { TagIndex } from '../ports.ts';
import { mapBounded } from './map-bounded.ts';
import { formatLink, parseLink, requireLink } from './store-link.ts';

/**
 * Tags straight from the store. A tag exists exactly when its `current/link` exists; what a crash leaves beside that
 * (history, empty folders) is no tag. A damaged current link is a StorageError for `get`, absent in `list`, and can
 * be set and deleted like any other.
 */
export class StoreTagIndex implements TagIndex {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  async get(
    repository: RepositoryName,
    tag: Tag,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const key = tagCurrentKey(repository, tag);
    const bytes = await this.#records.get(key, signal);
    return bytes && requireLink(bytes, key);
  }

  async set(
    repository: RepositoryName,
    tag: Tag,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    const link = formatLink(digest);
    await this.#records.put(tagHistoryKey(repository, tag, digest), link, signal);
    crashPoint('tag.history-written');
    await this.#records.put(tagCurrentKey(repository, tag), link, signal);
    crashPoint('tag.current-written');
  }

  /** A `set` that runs at the same time may be undone, as if it had come first. */
  async delete(repository: RepositoryName, tag: Tag, signal: AbortSignal): Promise<boolean> {
    const currentKey = tagCurrentKey(repository, tag);
    if (!(await this.#records.get(currentKey, signal))) return false;
    await this.#records.delete(currentKey, signal);
    crashPoint('tag.current-deleted');
    // The folder goes too: the CNCF registry lists the names of folders as tags.
    await this.#records.deleteTree(tagFolder(repository, tag), signal);
    return true;
  }

  async list(repository: RepositoryName, signal: AbortSignal): Promise<Tag[]> {
    const children = await this.#records.list(tagsFolder(repository), {}, signal);
    const tags = await mapBounded(children, async (child) => {
      const tag = child.isFolder ? parseTag(child.name) : undefined;
      if (!tag) return undefined;
      const bytes = await this.#records.get(tagCurrentKey(repository, tag), signal);
      return bytes && parseLink(bytes) ? tag : undefined;
    });
    return tags.filter((tag) => tag !== undefined);
  }
}
