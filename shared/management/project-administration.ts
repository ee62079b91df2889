import { randomUUID } from 'node:crypto';

import type { ReservedNameRules } from '../content/reserved-names.ts';
import { whyReserved } from '../content/reserved-names.ts';
import type { UpstreamEntry } from '../content/upstream-entry.ts';
import type { ProjectRecord, ProjectRole, RegistryIndex } from '../index/ports.ts';
import { projectRecordSchema } from '../index/store/json-record.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { registryError } from '../oci/errors.ts';
import { firstSegment, parseRepositoryName, parseTag } from '../oci/reference.ts';
import { repositoryFolder } from '../storage/object-keys.ts';
import { BELIEVED_MS } from '../content/brief-cache.ts';
import type { Robots } from './robots.ts';
import { VersionedRecords, type VersionedRecordsDependencies } from './versioned-records.ts';
import { withoutField } from './without-field.ts';

/** A project's record is a file of its name; file systems take 255 bytes, endings included. */
const MAX_NAME_LENGTH = 240;
/** Until every process has seen that a project takes nothing any more, with some room. */
const SETTLE_MS = BELIEVED_MS + 2_000;
const MAX_RULES = 100;

export interface ProjectAdministrationDependencies extends VersionedRecordsDependencies {
  readonly index: Pick<RegistryIndex, 'projects' | 'catalog' | 'tags'>;
  readonly robots: Robots;
  readonly clock: Clock;
  readonly upstreams: (signal: AbortSignal) => Promise<readonly UpstreamEntry[]>;
  readonly rules: ReservedNameRules;
}

/** What may be said of a new project. */
export interface NewProject {
  readonly name: string;
  readonly visibility: 'public' | 'private';
  /** Of an identity, which becomes its maintainer. */
  readonly owner: string | undefined;
  /** Who made it, where people make projects: the mirror's root path is then not open to it, unless that is said. */
  readonly maker?: { readonly id: string; readonly rootPath: boolean } | undefined;
}

/** The part of a record that people decide. */
export type ProjectSettings = Pick<ProjectRecord, 'visibility' | 'immutableTags' | 'rootPath'>;

/** Makes, changes and deletes projects. Nothing here asks who may do it. */
export class ProjectAdministration {
  readonly #deps: ProjectAdministrationDependencies;
  readonly #versions: VersionedRecords<ProjectRecord>;

  constructor(deps: ProjectAdministrationDependencies) {
    this.#deps = deps;
    const { projects } = deps.index;
    this.#versions = new VersionedRecords<ProjectRecord>(deps, {
      kind: 'projects',
      schema: projectRecordSchema,
      get: (name, signal) => projects.get(name, signal),
      put: (_name, record, signal) => projects.put(record, signal),
      remove: (name, signal) => projects.remove(name, signal),
    });
  }

  /** All, by name. */
  list(signal: AbortSignal): Promise<ProjectRecord[]> {
    return this.#deps.index.projects.list(signal);
  }

  /** Throws NAME_UNKNOWN. */
  async require(name: string, signal: AbortSignal): Promise<ProjectRecord> {
    const project = isProjectName(name)
      ? (await this.#versions.read(name, signal)).value
      : undefined;
    if (!project) throw unknownProject(name);
    return project;
  }

  /** Throws NAME_INVALID, and DENIED for a name that is taken or means something else. */
  async create(
    { name, visibility, owner, maker }: NewProject,
    signal: AbortSignal,
  ): Promise<ProjectRecord> {
    if (!isProjectName(name) || name.length > MAX_NAME_LENGTH) {
      throw registryError('NAME_INVALID', {
        message: `${name} is no name of a project: the first part of a repository name, at most ${MAX_NAME_LENGTH} characters`,
      });
    }
    const reason = whyReserved(name, await this.#deps.upstreams(signal), this.#deps.rules);
    if (reason !== undefined) throw registryError('DENIED', { message: reason });
    const record: ProjectRecord = {
      schemaVersion: 1,
      name,
      createdAt: this.#deps.clock.now().toISOString(),
      id: randomUUID(),
      visibility,
      ...(owner !== undefined && { members: [{ id: owner, role: 'maintainer' }] }),
      ...(maker && { createdBy: maker.id, ...(maker.rootPath && { rootPath: true }) }),
    };
    await this.#versions.change(
      name,
      (current) => {
        if (current) throw refused(`there is a project ${name} already`);
        return record;
      },
      signal,
    );
    return record;
  }

  /** Changes what is named; undefined takes a setting back. Throws NAME_UNKNOWN. */
  async set(
    name: string,
    settings: { readonly [Key in keyof ProjectSettings]: ProjectSettings[Key] | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    requireRules(settings.immutableTags ?? []);
    await this.#change(name, (project) => withSettings(project, settings), signal);
  }

  /** Gives an identity its role; undefined takes it away. */
  async setMember(
    name: string,
    id: string,
    role: ProjectRole | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#change(
      name,
      (project) => {
        const others = (project.members ?? []).filter((member) => member.id !== id);
        return { ...project, members: role ? [...others, { id, role }] : others };
      },
      signal,
    );
  }

  /** Gives a group its role; undefined takes it away. */
  async setGroup(
    name: string,
    group: string,
    role: ProjectRole | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#change(
      name,
      (project) => {
        const others = (project.groups ?? []).filter((one) => one.group !== group);
        return { ...project, groups: role ? [...others, { group, role }] : others };
      },
      signal,
    );
  }

  /**
   * Deletes a project that has no images any more, with its robots and what is left of its repositories. First it takes
   * nothing any more; only when every process has seen that is it looked at again and removed. Throws DENIED, with the
   * project as it was, where it has an image.
   */
  async delete(name: string, signal: AbortSignal): Promise<void> {
    await this.#requireNoImages(name, signal);
    await this.#change(name, (project) => ({ ...project, closed: true }), signal);
    try {
      await this.#deps.clock.sleep(SETTLE_MS, signal);
      await this.#requireNoImages(name, signal);
    } catch (error) {
      const reopened = AbortSignal.timeout(5_000);
      await this.#change(name, (project) => withoutField(project, 'closed'), reopened);
      throw error;
    }
    for (const robot of await this.#deps.robots.list(name, signal)) {
      await this.#deps.robots.remove(robot, signal);
    }
    await this.#deps.records.deleteTree(repositoryFolder(name), signal);
    await this.#versions.change(name, () => undefined, signal);
  }

  async #requireNoImages(name: string, signal: AbortSignal): Promise<void> {
    await this.require(name, signal);
    const repositories = await this.#deps.index.catalog.repositories(signal);
    for (const repository of repositories) {
      if (firstSegment(repository) !== name) continue;
      const manifests = await this.#deps.records.list(
        `${repositoryFolder(repository)}/_manifests/revisions`,
        { limit: 1 },
        signal,
      );
      if (manifests.length === 0) continue;
      throw refused(
        `the project ${name} has images, for example in ${repository}: delete those first`,
      );
    }
  }

  async #change(
    name: string,
    next: (project: ProjectRecord) => ProjectRecord,
    signal: AbortSignal,
  ): Promise<void> {
    if (!isProjectName(name)) throw unknownProject(name);
    await this.#versions.change(
      name,
      (project) => {
        if (!project) throw unknownProject(name);
        return next(project);
      },
      signal,
    );
  }
}

function withSettings(
  project: ProjectRecord,
  settings: { readonly [Key in keyof ProjectSettings]: ProjectSettings[Key] | undefined },
): ProjectRecord {
  const kept = Object.entries({ ...project, ...settings }).filter(
    ([, value]) => value !== undefined,
  );
  return projectRecordSchema.parse(Object.fromEntries(kept));
}

function requireRules(globs: readonly string[]): void {
  const isRule = (glob: string): boolean =>
    glob !== '' && parseTag(glob.replaceAll('*', 'x')) !== undefined;
  if (globs.length <= MAX_RULES && globs.every(isRule)) return;
  throw registryError('TAG_INVALID', {
    message: `rules on tags are at most ${MAX_RULES} tags, with * for any characters`,
  });
}

const isProjectName = (name: string): boolean =>
  !name.includes('/') && parseRepositoryName(name) !== undefined;
const refused = (message: string): Error => registryError('DENIED', { message });
const unknownProject = (name: string): Error =>
  registryError('NAME_UNKNOWN', { message: `there is no project ${name}` });
