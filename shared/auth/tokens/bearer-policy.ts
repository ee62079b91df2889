import type { Access, AccessPolicy, Principal } from '../access.ts';
import type { BearerPrincipal } from './claims.ts';

/** What a token's grant is compared with. */
interface GrantedProject {
  /** Random, and another one when the project is made again; undefined for projects that never got one. */
  readonly id?: string | undefined;
  /** Who made it: the id of an identity. */
  readonly createdBy?: string | undefined;
}

/** The project of a repository's name today; undefined where the name belongs to none. At most 30 seconds old. */
export type ProjectOf = (name: string, signal: AbortSignal) => Promise<GrantedProject | undefined>;

/** Tokens permit what they grant, to the project that it was granted for; everybody else is the inner policy's. */
export class BearerPolicy implements AccessPolicy {
  readonly #inner: AccessPolicy;
  readonly #projectOf: ProjectOf;

  constructor(inner: AccessPolicy, projectOf: ProjectOf) {
    this.#inner = inner;
    this.#projectOf = projectOf;
  }

  async allows(principal: Principal, access: Access, signal: AbortSignal): Promise<boolean> {
    if (principal.kind !== 'bearer') return await this.#inner.allows(principal, access, signal);
    const action = access.type === 'registry' ? '*' : access.action;
    const grant = principal.grants.find(
      ({ type, name, actions }) =>
        type === access.type &&
        name === access.name &&
        (actions.includes(action) || actions.includes('*')),
    );
    if (!grant) return false;
    if (access.type === 'registry') return true;
    const project = await this.#projectOf(access.name, signal);
    if (grant.projectId !== undefined) return project?.id === grant.projectId;
    return project?.id === undefined || isMaker(principal, project);
  }
}

/** A token for a project that did not exist yet is its maker's: he goes on pushing with it. */
const isMaker = ({ identity }: BearerPrincipal, { createdBy }: GrantedProject): boolean =>
  identity !== undefined && identity.id === createdBy;
