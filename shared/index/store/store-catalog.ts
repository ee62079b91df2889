import pLimit from 'p-limit';

import { parseRepositoryName, type RepositoryName } from '../../oci/reference.ts';
import {
  layersFolder,
  manifestsFolder,
  ownRepositoryFolder,
  repositoriesFolder,
  repositoryFolder,
  uploadsFolder,
} from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { Catalog } from '../ports.ts';
import { READ_CONCURRENCY } from './map-bounded.ts';

/** A repository with one of these is in the catalog. (The CNCF registry: `_layers` in version 2, `_manifests` in 3.) */
const LISTED: ReadonlySet<string> = new Set(['_layers', '_manifests']);

/**
 * The catalog straight from the store, by a walk of its folders: one listing for each folder above and at a
 * repository. Folders whose path is no repository name are passed over with all below them, since no name below
 * an invalid one is valid.
 */
export class StoreCatalog implements Catalog {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  repositories(signal: AbortSignal): Promise<RepositoryName[]> {
    return repositoriesBelow(this.#records, undefined, signal);
  }

  async has(repository: RepositoryName, signal: AbortSignal): Promise<boolean> {
    // One listing is enough for what nobody has pulled or pushed yet.
    const any = await this.#records.list(repositoryFolder(repository), { limit: 1 }, signal);
    if (any.length === 0) return false;
    // Folder by folder with a limit: a listing of the repository itself has every repository nested in it.
    const folders = [layersFolder, manifestsFolder, ownRepositoryFolder, uploadsFolder];
    const answers = await Promise.all(
      folders.map((folder) => this.#records.list(folder(repository), { limit: 1 }, signal)),
    );
    return answers.some((children) => children.length > 0);
  }
}

/** The repository of this name and all whose names begin with it and a slash, sorted by bytes; without a name all. */
export async function repositoriesBelow(
  records: RecordStore,
  first: string | undefined,
  signal: AbortSignal,
): Promise<RepositoryName[]> {
  const limit = pLimit(READ_CONCURRENCY);
  const found: RepositoryName[] = [];
  const walk = async (folder: string, name: RepositoryName | undefined): Promise<void> => {
    const children = await limit(() => records.list(folder, {}, signal));
    const folders = children.filter((child) => child.isFolder).map((child) => child.name);
    if (name && folders.some((child) => LISTED.has(child))) found.push(name);
    const below = folders
      .filter((child) => !child.startsWith('_'))
      .map((child) => parseRepositoryName(name ? `${name}/${child}` : child))
      .filter((child) => child !== undefined);
    await Promise.all(below.map((child) => walk(repositoryFolder(child), child)));
  };
  const start = first === undefined ? undefined : parseRepositoryName(first);
  if (first !== undefined && !start) return found;
  try {
    await walk(start ? repositoryFolder(start) : repositoriesFolder, start);
  } catch (error) {
    limit.clearQueue();
    throw error;
  }
  return found.sort();
}
