import type { Access, AccessPolicy, Principal } from '../auth/access.ts';
import type { Identity } from '../auth/identity.ts';
import type { ProjectRecord } from '../index/ports.ts';
import { parseRepositoryName, type RepositoryName } from '../oci/reference.ts';
import { decideAccess, type RobotRights } from './decide-access.ts';

/** Who may make projects: every person who is signed in, or administrators alone. */
type ProjectCreation = 'everyone' | 'admins';

/** Where a name leads at a role, by its first segment alone. */
export type NamePlace =
  /** `isFree`: there is no such project and its name may be taken. */
  | {
      readonly kind: 'project';
      readonly project: ProjectRecord | undefined;
      readonly isFree: boolean;
    }
  /** `isShared`: every reader of this mirror is entitled to what its account may read, and nobody else. */
  | { readonly kind: 'upstream'; readonly isShared: boolean };

export interface ProjectPolicyDependencies {
  readonly placeOf: (name: RepositoryName, signal: AbortSignal) => Promise<NamePlace>;
  /**
   * A project as the store has it now: asked before somebody is refused by what was read of it a while ago. Whoever was
   * let in just now need not wait, and to be refused takes as long where there is a project as where there is none.
   */
  readonly projectNow?: (name: string, signal: AbortSignal) => Promise<ProjectRecord | undefined>;
  /** The rights of a robot that is active, by the id of its identity. */
  readonly robotRights: (id: string, signal: AbortSignal) => Promise<RobotRights | undefined>;
  readonly creation: ProjectCreation;
}

/**
 * Rights by the records of projects, for people and robots with credentials of their own and for the token service.
 * What a token grants is not its business: a bearer is allowed nothing here. Whoever may list the catalog is shown
 * what he may pull.
 */
export class ProjectPolicy implements AccessPolicy {
  readonly #deps: ProjectPolicyDependencies;

  constructor(deps: ProjectPolicyDependencies) {
    this.#deps = deps;
  }

  async allows(principal: Principal, access: Access, signal: AbortSignal): Promise<boolean> {
    if (principal.kind === 'bearer') return false;
    if (access.type === 'registry') return true;
    const identity = principal.kind === 'identity' ? principal.identity : undefined;
    const name = parseRepositoryName(access.name);
    if (!name) return false;
    const place = await this.#deps.placeOf(name, signal);
    if (place.kind === 'upstream') return atUpstream(identity, access.action, place.isShared);
    const question = {
      identity,
      robot: identity?.kind === 'robot' ? await this.#robot(identity, signal) : undefined,
      action: access.action,
      isFree: place.isFree && this.#deps.creation === 'everyone',
    };
    const { project } = place;
    if (decideAccess({ ...question, project })) return true;
    const now = project && (await this.#deps.projectNow?.(project.name, signal));
    return now !== undefined && decideAccess({ ...question, project: now });
  }

  #robot(identity: Identity, signal: AbortSignal): Promise<RobotRights | undefined> {
    return this.#deps.robotRights(identity.id, signal);
  }
}

/** What is cached of an upstream is read-only for all; administrators are told so by whoever refuses. */
function atUpstream(
  identity: Identity | undefined,
  action: 'pull' | 'push' | 'delete',
  isShared: boolean,
): boolean {
  if (action === 'pull') return !isShared || identity !== undefined;
  return identity?.kind === 'user' && identity.isAdmin;
}
