import type { ProjectRecord } from '../index/ports.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { registryError } from '../oci/errors.ts';
import { firstSegment, type RepositoryName } from '../oci/reference.ts';
import { ACTED_ON_MS } from './brief-cache.ts';
import type { ProjectMaker, Projects } from './projects.ts';
import { type ReservedNameRules, whyReserved } from './reserved-names.ts';
import type { UpstreamTable } from './upstream-table.ts';

/** A project's record is a file of its name; file systems take 255 bytes, endings included. */
const MAX_PROJECT_LENGTH = 240;

/** Which names may be pushed to. */
export class PushNames {
  readonly #projects: Projects;
  readonly #upstreams: UpstreamTable;
  readonly #rules: ReservedNameRules;
  readonly #clock: Clock;

  constructor(
    projects: Projects,
    upstreams: UpstreamTable,
    rules: ReservedNameRules,
    clock: Clock,
  ) {
    this.#clock = clock;
    this.#projects = projects;
    this.#upstreams = upstreams;
    this.#rules = rules;
  }

  /**
   * Makes sure that the name belongs to a local project, making the project if the name is free. Called before the
   * first link of a repository is written. Throws DENIED with the reason for a reserved name; a reserved name that
   * another registry's store already holds stays usable. So does a project that takes nothing: one that is being
   * deleted, or that caches another registry. `maker`: whose a project that is made here will be.
   */
  async requirePushable(
    name: RepositoryName,
    signal: AbortSignal,
    maker?: ProjectMaker,
  ): Promise<ProjectRecord> {
    const project = firstSegment(name);
    if (project.length > MAX_PROJECT_LENGTH) {
      throw registryError('NAME_INVALID', {
        message: `the first part of a name may have ${MAX_PROJECT_LENGTH} characters at most`,
        detail: { name },
      });
    }
    const found = await this.#projects.find(project, signal);
    if (found) {
      requireOpen(found, name);
      return found;
    }
    const reason = whyReserved(project, await this.#upstreams.entries(signal), this.#rules);
    if (reason) throw registryError('DENIED', { message: reason, detail: { name } });
    return await this.#projects.ensure(project, signal, maker);
  }

  /** For a push that has begun: its project, as it is now. Throws DENIED as above, and NAME_UNKNOWN when it is gone. */
  async requireOpen(name: RepositoryName, signal: AbortSignal): Promise<ProjectRecord> {
    const project = await this.#projects.find(firstSegment(name), signal);
    if (!project) throw registryError('NAME_UNKNOWN', { detail: { name } });
    requireOpen(project, name);
    return project;
  }

  /**
   * Runs what makes content belong to the repository: resolves only when the project took it, so that whoever closes
   * the project finds it there. Throws as `requireOpen` does, before the work or after it.
   */
  async whileOpen<Value>(
    name: RepositoryName,
    signal: AbortSignal,
    work: () => Promise<Value>,
  ): Promise<Value> {
    const { id } = await this.requireOpen(name, signal);
    const checkedAtMs = this.#clock.monotonicMs();
    const value = await work();
    if (this.#clock.monotonicMs() - checkedAtMs < ACTED_ON_MS) return value;
    // What was closed since that was read may have been looked through by now.
    const project = await this.#projects.anew(firstSegment(name), signal);
    if (!project || project.id !== id) throw registryError('NAME_UNKNOWN', { detail: { name } });
    requireOpen(project, name);
    return value;
  }

  /** Throws DENIED while the project is being given another name: what is taken away there might have been copied. */
  async requireNotRenamed(name: RepositoryName, signal: AbortSignal): Promise<void> {
    const project = await this.#projects.find(firstSegment(name), signal);
    if (project?.closed !== true) return;
    if (project.renamedTo !== undefined || project.renamedFrom !== undefined) {
      requireOpen(project, name);
    }
  }
}

function requireOpen(project: ProjectRecord, name: RepositoryName): void {
  const { name: its, closed, upstream, renamedTo, renamedFrom } = project;
  if (closed === true) {
    const becomes = renamedTo ?? (renamedFrom === undefined ? undefined : its);
    throw registryError('DENIED', {
      message:
        becomes === undefined
          ? `the project ${its} is being deleted: nothing is pushed to it`
          : `the project ${renamedFrom ?? its} is being renamed to ${becomes}: push there when that is done`,
      detail: { name },
    });
  }
  if (upstream) {
    throw registryError('DENIED', {
      message: `${its} is a cache of ${upstream.url} and hosts no images of its own; push under another project`,
      detail: { name },
    });
  }
}
