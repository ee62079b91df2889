import { parseRepositoryName } from '../../oci/reference.ts';
import { StorageError } from '../../storage/errors.ts';
import { projectKey, projectsFolder } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { ProjectIndex, ProjectRecord } from '../ports.ts';
import { formatJsonRecord, projectRecordSchema, requireJsonRecord } from './json-record.ts';
import { mapBounded } from './map-bounded.ts';

const SUFFIX = '.json';

/** A project is the first segment of a repository name; nothing else may become a key. */
const isProjectName = (name: string): boolean =>
  !name.includes('/') && parseRepositoryName(name) !== undefined;

function requireProjectName(name: string): void {
  if (isProjectName(name)) return;
  throw new StorageError('project.put', 'the name is no first segment of a repository name');
}

/** Projects straight from the store, one JSON record each. */
export class StoreProjectIndex implements ProjectIndex {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  async get(name: string, signal: AbortSignal): Promise<ProjectRecord | undefined> {
    if (!isProjectName(name)) return undefined;
    const key = projectKey(name);
    const bytes = await this.#records.get(key, signal);
    return bytes && requireJsonRecord(bytes, projectRecordSchema, key);
  }

  async create(record: ProjectRecord, signal: AbortSignal): Promise<void> {
    requireProjectName(record.name);
    if (await this.get(record.name, signal)) return;
    await this.put(record, signal);
  }

  async put(record: ProjectRecord, signal: AbortSignal): Promise<void> {
    requireProjectName(record.name);
    await this.#records.put(projectKey(record.name), formatJsonRecord(record), signal);
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    requireProjectName(name);
    await this.#records.delete(projectKey(name), signal);
  }

  async list(signal: AbortSignal): Promise<ProjectRecord[]> {
    const children = await this.#records.list(projectsFolder, {}, signal);
    const names = children
      .filter((child) => !child.isFolder && child.name.endsWith(SUFFIX))
      .map((child) => child.name.slice(0, -SUFFIX.length))
      .sort();
    const records = await mapBounded(names, (name) => this.get(name, signal));
    return records.filter((record) => record !== undefined);
  }
}
