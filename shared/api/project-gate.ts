import type { AccessPolicy } from '../auth/access.ts';
import type { ProjectRecord } from '../index/ports.ts';
import {
  authorityOver,
  mayDo,
  type ProjectAuthority,
  type ProjectTask,
} from '../management/decide-management.ts';
import type { NewProject, ProjectAdministration } from '../management/project-administration.ts';
import { registryError } from '../oci/errors.ts';
import { parseRepositoryName, type RepositoryName } from '../oci/reference.ts';
import { type Caller, identityOf, principalOf } from './caller.ts';

export interface ProjectGateDependencies {
  /** As it decides about repositories everywhere at this role. */
  readonly policy: AccessPolicy;
  readonly administration: Pick<ProjectAdministration, 'require'>;
  /** Rights that were decided by the record as it was are decided by this one at once, in this process. */
  readonly onProjectChange: (project: ProjectRecord) => void;
  /** False in modes in which whoever is signed in may do everything. */
  readonly isByProjects: boolean;
}

type RepositoryAction = 'pull' | 'delete';

/**
 * Rights to projects and repositories. They are decided before anything is looked up; what somebody may not see is
 * answered like what is not there.
 */
export class ProjectGate {
  readonly #deps: ProjectGateDependencies;

  constructor(deps: ProjectGateDependencies) {
    this.#deps = deps;
  }

  /** Whether somebody may pull from the project, or the repository. */
  async isVisible(caller: Caller, name: string, signal: AbortSignal): Promise<boolean> {
    return await this.#allows(caller, name, 'pull', signal);
  }

  /** The project. Throws 401 for nobody in particular and 404 for others where it is not theirs to see. */
  async project(caller: Caller, name: string, signal: AbortSignal): Promise<ProjectRecord> {
    const isName = !name.includes('/') && parseRepositoryName(name) !== undefined;
    if (!isName || !(await this.isVisible(caller, name, signal))) throw hidden(caller, name);
    return await this.#deps.administration.require(name, signal);
  }

  /** The project, for a task. Throws as `project` does, and DENIED for somebody who sees it and may not do that. */
  async projectFor(
    caller: Caller,
    name: string,
    task: ProjectTask,
    signal: AbortSignal,
  ): Promise<ProjectRecord> {
    const project = await this.project(caller, name, signal);
    if (mayDo(this.authority(caller, project), task)) return project;
    throw registryError(caller.kind === 'anonymous' ? 'UNAUTHORIZED' : 'DENIED');
  }

  /** The project as it was made just now. */
  async changed(name: string, signal: AbortSignal): Promise<ProjectRecord> {
    const project = await this.#deps.administration.require(name, signal);
    this.#deps.onProjectChange(project);
    return project;
  }

  authority(caller: Caller, project: ProjectRecord): ProjectAuthority {
    if (caller.kind === 'everybody') return 'administrator';
    const identity = identityOf(caller);
    if (!this.#deps.isByProjects && identity) return 'administrator';
    return authorityOver(identity, project);
  }

  /** Who makes a project, as its record shall tell: administrators alone open the mirror's root path to one. */
  makerOf(caller: Caller): NewProject['maker'] {
    const identity = this.#deps.isByProjects ? identityOf(caller) : undefined;
    return identity && { id: identity.id, isAdmin: identity.isAdmin };
  }

  /** The name of a repository. Throws as `project` does where its content is not theirs to see, and DENIED. */
  async repository(
    caller: Caller,
    text: string,
    action: RepositoryAction,
    signal: AbortSignal,
  ): Promise<RepositoryName> {
    const name = parseRepositoryName(text);
    if (!name) throw registryError('NAME_INVALID');
    if (await this.#allows(caller, name, action, signal)) return name;
    const isSeen = action !== 'pull' && (await this.isVisible(caller, name, signal));
    if (isSeen) throw registryError(caller.kind === 'anonymous' ? 'UNAUTHORIZED' : 'DENIED');
    throw caller.kind === 'anonymous' ? registryError('UNAUTHORIZED') : unknownRepository(name);
  }

  #allows(
    caller: Caller,
    name: string,
    action: RepositoryAction,
    signal: AbortSignal,
  ): Promise<boolean> {
    return this.#deps.policy.allows(
      principalOf(caller),
      { type: 'repository', name, action },
      signal,
    );
  }
}

function hidden(caller: Caller, name: string): Error {
  if (caller.kind === 'anonymous') return registryError('UNAUTHORIZED');
  return registryError('NAME_UNKNOWN', { message: `there is no project ${name}` });
}

export const unknownRepository = (name: RepositoryName): Error =>
  registryError('NAME_UNKNOWN', { message: `there is no repository ${name}` });
