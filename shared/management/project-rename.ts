import { SETTLED_MS } from '../content/brief-cache.ts';
import type { ReservedNameRules } from '../content/reserved-names.ts';
import { findUpstream, type UpstreamEntry } from '../content/upstream-entry.ts';
import type { ProjectRecord, RegistryIndex } from '../index/ports.ts';
import { repositoriesBelow } from '../index/store/store-catalog.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { type RegistryError, registryError } from '../oci/errors.ts';
import { parseRepositoryName, type RepositoryName } from '../oci/reference.ts';
import { repositoryFolder } from '../storage/object-keys.ts';
import type { UploadReaper } from '../storage/upload-store.ts';
import { copyRepository, emptyRepository, type Move } from './move-repository.ts';
import { requireNewName } from './project-name.ts';
import { versionedProjects } from './project-records.ts';
import type { Robots } from './robots.ts';
import type { VersionedRecords, VersionedRecordsDependencies } from './versioned-records.ts';
import { withoutField } from './without-field.ts';

export interface ProjectRenameDependencies extends VersionedRecordsDependencies {
  readonly index: RegistryIndex;
  readonly uploads: UploadReaper;
  readonly robots: Robots;
  readonly clock: Clock;
  readonly upstreams: (signal: AbortSignal) => Promise<readonly UpstreamEntry[]>;
  readonly rules: ReservedNameRules;
}

/** The names of a project. */
interface Names {
  readonly from: string;
  readonly to: string;
}

/**
 * Gives a project another name, with all repositories that were pushed to it, its settings and its robots. What it is
 * about stands in the records of both names (`renamedTo`, `renamedFrom`) until it is done, so that a rename that broke
 * off anywhere is finished by asking for the same one again.
 *
 * (1) Both names take nothing any more, which every process has seen after half a minute. (2) The links are copied; the
 * old name is pulled as before. (3) The new name is opened. (4) The old name is emptied, tags first, and forgotten.
 * Every step goes through the index, which keeps Redis right as it does for pushes.
 */
export class ProjectRename {
  readonly #deps: ProjectRenameDependencies;
  readonly #versions: VersionedRecords<ProjectRecord>;

  constructor(deps: ProjectRenameDependencies) {
    this.#deps = deps;
    this.#versions = versionedProjects(deps, deps.index.projects);
  }

  /** Resolves with the repositories that were moved. Throws NAME_UNKNOWN, NAME_INVALID, and DENIED for names in use. */
  async rename(names: Names, signal: AbortSignal): Promise<RepositoryName[]> {
    const { from, to } = names;
    const table = await this.#deps.upstreams(signal);
    requireNewName(to, table, this.#deps.rules);
    // What cannot be done is refused before anything is closed.
    await this.#moves(names, signal);
    if (!(await this.#begin(names, signal))) {
      await this.#finish(names, signal);
      return [];
    }
    const moves = await this.#moves(names, signal);
    const isOpen = (await this.#versions.read(to, signal)).value?.closed !== true;
    if (!isOpen) {
      await this.#deps.clock.sleep(SETTLED_MS, signal);
      for (const move of moves) await copyRepository(move, this.#deps, signal);
      await this.#copyRobots(names, signal);
      await this.#versions.change(to, (record) => record && withoutField(record, 'closed'), signal);
    }
    await this.#clear(names, moves, signal);
    // An upstream's copies may lie under the same name.
    if (!findUpstream(table, from)) {
      await this.#deps.records.deleteTree(repositoryFolder(from), signal);
    }
    await this.#versions.change(from, () => undefined, signal);
    await this.#finish(names, signal);
    return moves.map((move) => move.to);
  }

  /** Closes both names. False: the old one is gone already. */
  async #begin({ from, to }: Names, signal: AbortSignal): Promise<boolean> {
    const old = await this.#record(from, signal);
    const target = await this.#record(to, signal);
    const isOurs = target?.renamedFrom === from;
    if (!old) {
      if (isOurs) return false;
      throw registryError('NAME_UNKNOWN', { message: `there is no project ${from}` });
    }
    const isFree =
      !target && (await repositoriesBelow(this.#deps.records, to, signal)).length === 0;
    if (!isOurs && !isFree) throw refused(`there is a project ${to} already`);
    const closed = await this.#versions.change(
      from,
      (record) => {
        if (!record)
          throw registryError('NAME_UNKNOWN', { message: `there is no project ${from}` });
        requireIdle(record, to);
        return record.renamedTo === to ? record : { ...record, closed: true, renamedTo: to };
      },
      signal,
    );
    if (!closed) return false;
    try {
      await this.#reserve(closed, to, signal);
    } catch (error) {
      await this.#reopen(from, to);
      throw error;
    }
    return true;
  }

  async #reserve(old: ProjectRecord, to: string, signal: AbortSignal): Promise<void> {
    const { name: from } = old;
    const kept = withoutField(withoutField(withoutField(old, 'renamedTo'), 'revision'), 'adopted');
    await this.#versions.change(
      to,
      (record) => {
        if (record?.renamedFrom === from) return record;
        if (record) throw refused(`there is a project ${to} already`);
        return { ...kept, name: to, closed: true, renamedFrom: from };
      },
      signal,
    );
  }

  /** Another took the new name meanwhile. */
  async #reopen(from: string, to: string): Promise<void> {
    await this.#versions.change(
      from,
      (record) =>
        record?.renamedTo === to
          ? withoutField(withoutField(record, 'closed'), 'renamedTo')
          : record,
      AbortSignal.timeout(5_000),
    );
  }

  /** What was pushed; an upstream's copies stay where they are. */
  async #moves({ from, to }: Names, signal: AbortSignal): Promise<Move[]> {
    const { records, index } = this.#deps;
    const moves: Move[] = [];
    for (const repository of await repositoriesBelow(records, from, signal)) {
      if (await index.origins.get(repository, signal)) continue;
      const target = parseRepositoryName(`${to}${repository.slice(from.length)}`);
      if (!target) throw refused(`${repository} would get a name that is too long`);
      moves.push({ from: repository, to: target });
    }
    return moves;
  }

  async #copyRobots({ from, to }: Names, signal: AbortSignal): Promise<void> {
    const { robots } = this.#deps;
    for (const robot of await robots.list(from, signal)) await robots.copy(robot, to, signal);
  }

  async #clear({ from }: Names, moves: readonly Move[], signal: AbortSignal): Promise<void> {
    const { robots, uploads, clock } = this.#deps;
    for (const move of moves) {
      await uploads.reap(move.from, clock.now(), signal);
      await emptyRepository(move.from, this.#deps, signal);
    }
    for (const robot of await robots.list(from, signal)) await robots.drop(robot, signal);
  }

  async #finish({ from, to }: Names, signal: AbortSignal): Promise<void> {
    await this.#versions.change(
      to,
      (record) => (record?.renamedFrom === from ? withoutField(record, 'renamedFrom') : record),
      signal,
    );
  }

  async #record(name: string, signal: AbortSignal): Promise<ProjectRecord | undefined> {
    return parseRepositoryName(name) ? (await this.#versions.read(name, signal)).value : undefined;
  }
}

function requireIdle(project: ProjectRecord, to: string): void {
  const { name, closed, renamedTo, renamedFrom, upstream } = project;
  if (renamedTo === to) return;
  if (upstream) throw refused(`${name} caches ${upstream.url}: make another project for that`);
  if (renamedTo !== undefined) {
    throw refused(
      `${name} is being renamed to ${renamedTo}: finish that first, by the same command`,
    );
  }
  if (renamedFrom !== undefined) {
    throw refused(`${renamedFrom} is being renamed to ${name}: finish that first`);
  }
  if (closed === true) throw refused(`the project ${name} is being deleted`);
}

const refused = (message: string): RegistryError => registryError('DENIED', { message });
