import { type AccessPolicy, ANONYMOUS, type Principal } from '../../shared/auth/access.ts';
import type { ProjectRecord } from '../../shared/index/ports.ts';
import {
  ProjectPolicy,
  type ProjectPolicyDependencies,
} from '../../shared/management/project-policy.ts';
import { parseRepositoryName, type RepositoryName } from '../../shared/oci/reference.ts';

/** The project of a repository's name as it is now, at most 30 seconds old; undefined where it belongs to none. */
type ProjectOf = (name: string, signal: AbortSignal) => Promise<ProjectRecord | undefined>;

/** How rights follow from the records of projects, in the modes in which they do. */
export interface ProjectRights extends Omit<ProjectPolicyDependencies, 'placeOf' | 'projectNow'> {
  /** Of projects that are made by pushing to them. */
  readonly visibility: 'public' | 'private';
}

interface RightsOfMode {
  readonly access: AccessPolicy;
  readonly projectRights?: ProjectRights | undefined;
}

export interface ProjectAccess {
  readonly policy: AccessPolicy;
  readonly projectOf: ProjectOf;
  /** Whether a list shows the repository: by what somebody may, and not by what his token was issued for. */
  readonly isListed?: (
    principal: Principal,
    name: RepositoryName,
    signal: AbortSignal,
  ) => Promise<boolean>;
}

type PlaceOf = ProjectPolicyDependencies['placeOf'];

export interface PlacesOfRole {
  readonly projectNow: NonNullable<ProjectPolicyDependencies['projectNow']>;
  /** Of a name on the path. */
  readonly placeOf: PlaceOf;
  /** Of a repository of the store, whatever its name means on the path. */
  readonly placeOfStored: PlaceOf;
}

/** The rights at a role, by where names lead there; in modes without projects those of the mode. */
export function projectAccess(
  { access, projectRights }: RightsOfMode,
  { placeOf, placeOfStored, projectNow }: PlacesOfRole,
): ProjectAccess {
  if (!projectRights) return { policy: access, projectOf: () => Promise.resolve(undefined) };
  const policy = new ProjectPolicy({ ...projectRights, placeOf, projectNow });
  const stored = new ProjectPolicy({ ...projectRights, placeOf: placeOfStored });
  return {
    policy,
    projectOf: async (text, signal) => {
      const name = parseRepositoryName(text);
      const place = name && (await placeOf(name, signal));
      return place?.kind === 'project' ? place.project : undefined;
    },
    isListed: (principal, name, signal) =>
      stored.allows(inPerson(principal), { type: 'repository', name, action: 'pull' }, signal),
  };
}

function inPerson(principal: Principal): Principal {
  if (principal.kind !== 'bearer') return principal;
  return principal.identity ? { kind: 'identity', identity: principal.identity } : ANONYMOUS;
}
