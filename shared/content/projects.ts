import { randomUUID } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import type { OriginIndex, ProjectIndex, ProjectRecord } from '../index/ports.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { crashPoint } from '../lifecycle/crash-point.ts';
import { registryError } from '../oci/errors.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { repositoriesFolder, repositoryFolder } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { BriefCache } from './brief-cache.ts';

/** How long a first segment without content is not searched again for another registry's repositories. */
const SEARCHED_MS = 5_000;

/** Whose a project is that a push makes, and who may pull from it. Without one it is everybody's. */
export interface ProjectMaker {
  /** Of an identity; undefined: nobody's but administrators'. */
  readonly id?: string;
  readonly visibility: 'public' | 'private';
  /** An administrator makes it: the mirror serves it under its bare name. */
  readonly rootPath?: true;
}

export interface ProjectsDependencies {
  readonly projects: ProjectIndex;
  readonly origins: OriginIndex;
  readonly records: RecordStore;
  readonly clock: Clock;
  /**
   * True where rights follow from projects: repositories without a project are nobody's then, unless they were there
   * before this process started. What is written late to a project that was deleted opens it to nobody.
   */
  readonly adoptsAtStartAlone?: boolean;
  /**
   * Makes a record of which there is one, whoever else makes it at the same time, and resolves with the one that is
   * kept; undefined where the store cannot tell.
   */
  readonly makeOne?: (
    record: ProjectRecord,
    signal: AbortSignal,
  ) => Promise<ProjectRecord | undefined>;
}

/**
 * The local projects: first segments of names that were pushed here. A record is made before the first link of its
 * first repository and outlives its content, so that a name never changes its meaning by a push or a delete elsewhere.
 * A first segment that holds unmarked repositories without a record was written by another registry and is adopted.
 */
export class Projects {
  readonly #index: ProjectIndex;
  readonly #origins: OriginIndex;
  readonly #records: RecordStore;
  readonly #clock: Clock;
  readonly #adoptsAtStartAlone: boolean;
  readonly #makeOne: ProjectsDependencies['makeOne'];
  readonly #found: BriefCache<ProjectRecord>;
  readonly #searched = new LRUCache<string, true>({ max: 10_000, ttl: SEARCHED_MS });
  /** First segments that hold an upstream's repositories alone: pushes to them are refused, so that stays so. */
  readonly #cachesOnly = new Set<string>();

  constructor(deps: ProjectsDependencies) {
    const { projects, origins, records, clock } = deps;
    this.#adoptsAtStartAlone = deps.adoptsAtStartAlone ?? false;
    this.#makeOne = deps.makeOne;
    this.#index = projects;
    this.#found = new BriefCache(clock, (name, signal) => projects.get(name, signal));
    this.#origins = origins;
    this.#records = records;
    this.#clock = clock;
  }

  /** The project, adopting it when another registry's repositories are found under the name. */
  find(name: string, signal: AbortSignal): Promise<ProjectRecord | undefined> {
    return this.#look(name, !this.#adoptsAtStartAlone, signal);
  }

  async #look(
    name: string,
    mayAdopt: boolean,
    signal: AbortSignal,
  ): Promise<ProjectRecord | undefined> {
    const known = await this.#found.get(name, signal);
    if (known) return known;
    if (this.#searched.has(name) || this.#cachesOnly.has(name)) return undefined;
    const holds = await this.#search(name, signal);
    if (holds === 'unmarked' && mayAdopt) return this.#create(name, true, signal);
    if (holds === 'marked') this.#cachesOnly.add(name);
    this.#searched.set(name, true);
    return undefined;
  }

  /** The project was changed by this process: it is seen here at once. */
  note(project: ProjectRecord): void {
    this.#found.put(project.name, project);
  }

  /** The project as the store has it now; undefined for one that is found only by searching. */
  async anew(name: string, signal: AbortSignal): Promise<ProjectRecord | undefined> {
    return await this.#found.anew(name, signal);
  }

  /**
   * The project, made if it does not exist. Idempotent; safe under concurrent callers. Throws DENIED when somebody else
   * has just made it: what the caller may do there is to be asked anew.
   */
  async ensure(name: string, signal: AbortSignal, maker?: ProjectMaker): Promise<ProjectRecord> {
    return (await this.find(name, signal)) ?? this.#create(name, false, signal, maker);
  }

  /**
   * Adopts every first segment of the store that needs it, and returns all projects. `published`: projects of
   * upstreams that a mirror has published before this start, so that nothing unmarked can have come under them since.
   */
  async adoptAll(published: readonly string[], signal: AbortSignal): Promise<ProjectRecord[]> {
    for (const project of published) this.#cachesOnly.add(project);
    for (const child of await this.#records.list(repositoriesFolder, {}, signal)) {
      if (!child.isFolder || !parseRepositoryName(child.name)) continue;
      await this.#look(child.name, true, signal);
    }
    return this.#index.list(signal);
  }

  async #create(
    name: string,
    isAdopted: boolean,
    signal: AbortSignal,
    maker?: ProjectMaker,
  ): Promise<ProjectRecord> {
    const record: ProjectRecord = {
      schemaVersion: 1,
      name,
      createdAt: this.#clock.now().toISOString(),
      ...(isAdopted && { adopted: true }),
      ...(maker && {
        id: randomUUID(),
        visibility: maker.visibility,
        ...(maker.rootPath && { rootPath: true }),
      }),
      ...(maker?.id !== undefined && {
        createdBy: maker.id,
        members: [{ id: maker.id, role: 'maintainer' as const }],
      }),
    };
    const made = maker && (await this.#makeOne?.(record, signal));
    if (!made) await this.#index.create(record, signal);
    crashPoint('project.created');
    // Of two that make it at once one is kept.
    const kept = made ?? (maker ? ((await this.#index.get(name, signal)) ?? record) : record);
    this.#found.put(name, kept);
    if (maker && kept.createdBy !== record.createdBy) {
      throw registryError('DENIED', {
        message: `somebody else has just made the project ${name}`,
        detail: { name },
      });
    }
    return kept;
  }

  /** Depth first, until the first repository that carries no origin marker. */
  async #search(path: string, signal: AbortSignal): Promise<'nothing' | 'marked' | 'unmarked'> {
    const name = parseRepositoryName(path);
    if (!name) return 'nothing';
    const children = await this.#records.list(repositoryFolder(name), {}, signal);
    const isRepository = children.some(
      (child) => child.name === '_manifests' || child.name === '_layers',
    );
    if (isRepository && !(await this.#origins.get(name, signal))) return 'unmarked';
    let holds: 'nothing' | 'marked' = isRepository ? 'marked' : 'nothing';
    for (const child of children) {
      if (!child.isFolder || child.name.startsWith('_')) continue;
      const below = await this.#search(`${path}/${child.name}`, signal);
      if (below === 'unmarked') return below;
      if (below === 'marked') holds = below;
    }
    return holds;
  }
}
