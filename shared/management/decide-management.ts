import type { Identity } from '../auth/identity.ts';
import { PROJECT_ROLES, type ProjectRecord, type ProjectRole } from '../index/ports.ts';
import { roleOf } from './decide-access.ts';

/** What somebody is to a project; undefined: nothing but what everybody is. */
export type ProjectAuthority = ProjectRole | 'administrator' | undefined;

/**
 * What people do to a project, beside its images.
 *
 * - `look`: see who belongs to it
 * - `decide`: settings, members, robots, its end
 * - `approve`: what the whole registry is concerned by: the mirror's root path, and its room
 */
export type ProjectTask = 'look' | 'decide' | 'approve';

/** By the record of the project as it is. */
export function authorityOver(
  identity: Identity | undefined,
  project: Pick<ProjectRecord, 'members' | 'groups'>,
): ProjectAuthority {
  if (identity?.kind !== 'user') return undefined;
  return identity.isAdmin ? 'administrator' : roleOf(identity, project);
}

export function mayDo(authority: ProjectAuthority, task: ProjectTask): boolean {
  if (authority === 'administrator') return true;
  if (authority === undefined || task === 'approve') return false;
  return task === 'look' || authority === 'maintainer' || authority === 'admin';
}

/** Nobody gives or takes a role above his own. */
export function mayGrant(authority: ProjectAuthority, role: ProjectRole | undefined): boolean {
  if (authority === 'administrator' || role === undefined) return true;
  if (authority === undefined) return false;
  return PROJECT_ROLES.indexOf(role) <= PROJECT_ROLES.indexOf(authority);
}
