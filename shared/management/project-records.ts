import type { ProjectIndex, ProjectRecord } from '../index/ports.ts';
import { projectRecordSchema } from '../index/store/json-record.ts';
import { VersionedRecords, type VersionedRecordsDependencies } from './versioned-records.ts';

/** The records of projects, as people change them. */
export function versionedProjects(
  deps: VersionedRecordsDependencies,
  projects: ProjectIndex,
): VersionedRecords<ProjectRecord> {
  return new VersionedRecords<ProjectRecord>(deps, {
    kind: 'projects',
    schema: projectRecordSchema,
    get: (name, signal) => projects.get(name, signal),
    put: (_name, record, signal) => projects.put(record, signal),
    remove: (name, signal) => projects.remove(name, signal),
  });
}
