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
    if (!isProjectName(record.name)) {
      throw new StorageError('project.create', 'the name is no first segment of a repository name');
    }
    if (await this.get(record.name, signal)) return;
    await this.#records.put(projectKey(record.name), formatJsonRecord(record), signal);
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
