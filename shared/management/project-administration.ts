import { randomUUID } from 'node:crypto';

import type { ReservedNameRules } from '../content/reserved-names.ts';
import { findUpstream, type UpstreamEntry } from '../content/upstream-entry.ts';
import type { ProjectRecord, ProjectRole, RegistryIndex } from '../index/ports.ts';
import { serverUrl } from '../config/value-schemas.ts';
import { isServedUpstream, publishUpstream } from '../content/upstream-table.ts';
import { repositoriesBelow } from '../index/store/store-catalog.ts';
import { projectRecordSchema } from '../index/store/json-record.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { RegistryError, registryError } from '../oci/errors.ts';
import { firstSegment, parseTag } from '../oci/reference.ts';
import { repositoryFolder, upstreamKey } from '../storage/object-keys.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { SETTLED_MS } from '../content/brief-cache.ts';
import { emptyRepository } from './move-repository.ts';
import { countProject } from './quotas/count-project.ts';
import type { Robots } from './robots.ts';
import { type RoleHolder, withRole } from './role-holder.ts';
import { isProjectName, requireNewName } from './project-name.ts';
import { versionedProjects } from './project-records.ts';
import type { VersionedRecords, VersionedRecordsDependencies } from './versioned-records.ts';
import { withoutField } from './without-field.ts';

const MAX_RULES = 100;

export interface ProjectAdministrationDependencies extends VersionedRecordsDependencies {
  readonly index: RegistryIndex;
  readonly blobs: Pick<BlobStore, 'stat'>;
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
  /** The address of the registry that it caches: then it hosts no images of its own. */
  readonly upstream?: string | undefined;
  /** Whether the mirror passes on what its account for that address may read. */
  readonly passThrough?: boolean | undefined;
  /** Who made it, where people make projects: the mirror's root path is then not open to it, unless an administrator did. */
  readonly maker?: { readonly id: string; readonly isAdmin: boolean } | undefined;
}

/** The part of a record that people decide. */
type ProjectSettings = Pick<
  ProjectRecord,
  'visibility' | 'immutableTags' | 'rootPath' | 'quotaBytes'
> &
  Pick<NonNullable<ProjectRecord['upstream']>, 'passThrough'>;

/** Undefined takes a setting back. */
type SettingsToSet = { readonly [Key in keyof ProjectSettings]: ProjectSettings[Key] | undefined };

/** What was pushed to a project: each distinct blob and manifest once. */
export interface ProjectUsage {
  readonly bytes: number;
  readonly blobs: number;
}

/** Makes, changes and deletes projects. Nothing here asks who may do it. */
export class ProjectAdministration {
  readonly #deps: ProjectAdministrationDependencies;
  readonly #versions: VersionedRecords<ProjectRecord>;

  constructor(deps: ProjectAdministrationDependencies) {
    this.#deps = deps;
    this.#versions = versionedProjects(deps, deps.index.projects);
  }

  /** All, by name. */
  async list(signal: AbortSignal): Promise<ProjectRecord[]> {
    const all = await this.#deps.index.projects.list(signal);
    return await Promise.all(all.map((project) => this.#withAddress(project, signal)));
  }

  /** Throws NAME_UNKNOWN. */
  async require(name: string, signal: AbortSignal): Promise<ProjectRecord> {
    const project = isProjectName(name)
      ? (await this.#versions.read(name, signal)).value
      : undefined;
    if (!project) throw unknownProject(name);
    return await this.#withAddress(project, signal);
  }

  /** What the project takes, by the links of the store: reads all of them. */
  async usage(name: string, signal: AbortSignal): Promise<ProjectUsage> {
    await this.require(name, signal);
    const { records, blobs, index } = this.#deps;
    const counting = { records, blobs, origins: index.origins };
    const sizes = [...(await countProject(name, counting, signal)).values()];
    return { bytes: sizes.reduce((total, size) => total + size, 0), blobs: sizes.length };
  }

  /** Throws NAME_INVALID, and DENIED for a name that is taken or means something else. */
  async create(
    { name, visibility, owner, upstream, passThrough, maker }: NewProject,
    signal: AbortSignal,
  ): Promise<ProjectRecord> {
    const table = await this.#deps.upstreams(signal);
    requireNewName(name, table, this.#deps.rules);
    if (passThrough === true && upstream === undefined) throw refused(cachesNothing(name));
    const cached =
      upstream === undefined
        ? undefined
        : await this.#cached(name, requireAddress(upstream), table, signal);
    const record: ProjectRecord = {
      schemaVersion: 1,
      name,
      createdAt: this.#deps.clock.now().toISOString(),
      id: randomUUID(),
      visibility,
      ...(cached && { upstream: { ...cached, ...(passThrough === true && { passThrough }) } }),
      ...(owner !== undefined && { members: [{ id: owner, role: 'maintainer' }] }),
      ...(maker && { createdBy: maker.id, ...(maker.isAdmin && { rootPath: true }) }),
    };
    await this.#versions.change(
      name,
      (current) => {
        if (current) throw refused(`there is a project ${name} already`);
        return record;
      },
      signal,
    );
    // Mirrors learn of it by this; one that starts makes up for it where this process died before.
    if (cached) await publishUpstream(this.#deps.records, { project: name, ...cached }, signal);
    return record;
  }

  /**
   * The project of a first push, which others may make at the same time: resolves with the one that is kept. Undefined
   * where the store cannot tell who was first.
   */
  async makeAtPush(record: ProjectRecord, signal: AbortSignal): Promise<ProjectRecord | undefined> {
    try {
      return await this.#versions.change(record.name, (current) => current ?? record, signal);
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'UNAVAILABLE') return undefined;
      throw error;
    }
  }

  /** Changes what is named. Throws NAME_UNKNOWN, and DENIED for what is not to be said of such a project. */
  async set(name: string, settings: SettingsToSet, signal: AbortSignal): Promise<void> {
    requireRules(settings.immutableTags ?? []);
    await this.#change(name, (project) => withSettings(project, settings), signal);
  }

  /** Gives an identity or a group its role; undefined takes it away. Throws NAME_UNKNOWN. */
  async setRole(
    name: string,
    holder: RoleHolder,
    role: ProjectRole | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#change(name, (project) => withRole(project, holder, role), signal);
  }

  /**
   * Deletes a project that has no images any more, with its robots and what is left of its repositories. First it takes
   * nothing any more; only when every process has seen that is it looked at again and removed. Throws DENIED, with the
   * project as it was, where it has an image; the copies in a project that caches an upstream go with it. One that a
   * mirror's configuration made goes when no mirror that runs has it any more.
   */
  async delete(name: string, signal: AbortSignal): Promise<void> {
    const { upstream } = await this.require(name, signal);
    const isCache = upstream !== undefined;
    const requireUnused = async (): Promise<void> => {
      if (!isCache) await this.#requireNoImages(name, signal);
      else if (upstream.isConfigured === true) await this.#requireNotServed(name, signal);
    };
    await requireUnused();
    if (isCache) await this.#deps.records.delete(upstreamKey(name), signal);
    await this.#change(name, (project) => ({ ...project, closed: true }), signal);
    try {
      await this.#deps.clock.sleep(SETTLED_MS, signal);
      await requireUnused();
    } catch (error) {
      const reopened = AbortSignal.timeout(5_000);
      // Mirrors had been told to serve it no more.
      if (isCache) {
        const { url, hosts = [] } = upstream;
        await publishUpstream(this.#deps.records, { project: name, url, hosts }, reopened);
      }
      await this.#change(name, (project) => withoutField(project, 'closed'), reopened);
      throw error;
    }
    for (const robot of await this.#deps.robots.list(name, signal)) {
      await this.#deps.robots.drop(robot, signal);
    }
    // Link by link, so that the index forgets them. Of a cache there may be too many: its callers make all of it cold.
    const repositories = isCache ? [] : await repositoriesBelow(this.#deps.records, name, signal);
    for (const repository of repositories) await emptyRepository(repository, this.#deps, signal);
    await this.#deps.records.deleteTree(repositoryFolder(name), signal);
    await this.#versions.change(name, () => undefined, signal);
  }

  /** The upstream of a new project. Its host names it too, unless that means something already. */
  async #cached(
    name: string,
    url: string,
    table: readonly UpstreamEntry[],
    signal: AbortSignal,
  ): Promise<Pick<UpstreamEntry, 'url' | 'hosts'>> {
    const { records, index } = this.#deps;
    if ((await repositoriesBelow(records, name, signal)).length > 0) {
      throw refused(`there are images under ${name} already`);
    }
    const { host } = new URL(url);
    const isMeant = findUpstream(table, host) ?? (await index.projects.get(host, signal));
    return { url, hosts: isMeant ? [] : [host] };
  }

  /** An upstream that is configured is where the mirrors say that it is today. */
  async #withAddress(project: ProjectRecord, signal: AbortSignal): Promise<ProjectRecord> {
    const { name, upstream } = project;
    if (upstream?.isConfigured !== true) return project;
    const table = await this.#deps.upstreams(signal);
    const url = table.find((entry) => entry.project === name)?.url ?? upstream.url;
    return { ...project, upstream: { ...upstream, url } };
  }

  async #requireNotServed(name: string, signal: AbortSignal): Promise<void> {
    const { records, clock } = this.#deps;
    if (!(await isServedUpstream(records, name, clock, signal))) return;
    throw refused(
      `${name} is among the UPSTREAMS of a mirror that runs: take it out there, and wait 90 seconds where that mirror was killed`,
    );
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
        const isNamedAnew = project.closed === true && (project.renamedTo ?? project.renamedFrom);
        if (isNamedAnew) throw refused(`the project ${name} is being renamed: finish that first`);
        return next(project);
      },
      signal,
    );
  }
}

function withSettings(project: ProjectRecord, settings: SettingsToSet): ProjectRecord {
  const { passThrough, ...own } = settings;
  const upstream = 'passThrough' in settings ? passing(project, passThrough) : project.upstream;
  const kept = Object.entries({ ...project, ...own, upstream }).filter(
    ([, value]) => value !== undefined,
  );
  return projectRecordSchema.parse(Object.fromEntries(kept));
}

function passing({ name, upstream }: ProjectRecord, passThrough: true | undefined): object {
  if (!upstream) throw refused(cachesNothing(name));
  if (upstream.isConfigured === true) {
    throw refused(`what is passed on of ${name} is said in UPSTREAMS, "private"`);
  }
  return passThrough ? { ...upstream, passThrough } : withoutField(upstream, 'passThrough');
}

function requireRules(globs: readonly string[]): void {
  const isRule = (glob: string): boolean =>
    glob !== '' && parseTag(glob.replaceAll('*', 'x')) !== undefined;
  if (globs.length <= MAX_RULES && globs.every(isRule)) return;
  throw registryError('TAG_INVALID', {
    message: `rules on tags are at most ${MAX_RULES} tags, with * for any characters`,
  });
}

/** Throws NAME_INVALID. */
function requireAddress(text: string): string {
  const url = serverUrl('http', 'https').safeParse(text);
  if (url.success) return url.data;
  const [problem] = url.error.issues;
  throw registryError('NAME_INVALID', {
    message: `the address of the upstream ${problem?.message ?? 'is none'}`,
  });
}

const refused = (message: string): Error => registryError('DENIED', { message });
const cachesNothing = (name: string): string =>
  `the project ${name} is no cache of another registry`;
const unknownProject = (name: string): Error =>
  registryError('NAME_UNKNOWN', { message: `there is no project ${name}` });
