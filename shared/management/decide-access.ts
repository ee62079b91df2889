import { type Identity, isRobotOfProject } from '../auth/identity.ts';
import {
  PROJECT_ROLES,
  type ProjectRecord,
  type ProjectRole,
  projectIdOf,
} from '../index/ports.ts';

export type RepositoryAction = 'pull' | 'push' | 'delete';

/** What a robot may, as its record says. */
export interface RobotRights {
  readonly project: string;
  /** Of the project that it was made in. */
  readonly projectId: string;
  readonly actions: readonly RepositoryAction[];
}

export interface ProjectQuestion {
  /** Undefined: nobody in particular. */
  readonly identity: Identity | undefined;
  /** Of a robot that is active; without them a robot may what everybody may. */
  readonly robot: RobotRights | undefined;
  readonly action: RepositoryAction;
  /** Undefined: there is none of this name. */
  readonly project: ProjectRecord | undefined;
  /** Whether a person who is no administrator may make the project by pushing to it. */
  readonly isFree: boolean;
}

const RIGHTS: Readonly<Record<ProjectRole, readonly RepositoryAction[]>> = {
  guest: ['pull'],
  developer: ['pull', 'push'],
  maintainer: ['pull', 'push', 'delete'],
  admin: ['pull', 'push', 'delete'],
};
const RANK: readonly ProjectRole[] = PROJECT_ROLES;

/**
 * Whether somebody may do something to the repositories of a project. What is not allowed by a line here is not
 * allowed. Nothing depends on a name: robots of projects go by their record, everybody else by the id of his identity and
 * by his groups.
 */
export function decideAccess(question: ProjectQuestion): boolean {
  const { identity, robot, action, project, isFree } = question;
  if (identity?.kind === 'user' && identity.isAdmin) return true;
  if (!project) return action === 'push' && identity?.kind === 'user' && isFree;
  if (action === 'pull' && project.visibility !== 'private') return true;
  if (!identity) return false;
  if (isRobotOfProject(identity.id)) {
    return isRobotOf(project, robot) && robot.actions.includes(action);
  }
  const role = roleOf(identity, project);
  return role !== undefined && RIGHTS[role].includes(action);
}

/** Of the project as it is today: not of one that had its name before. */
const isRobotOf = (
  project: ProjectRecord,
  robot: ProjectQuestion['robot'],
): robot is NonNullable<ProjectQuestion['robot']> =>
  robot?.project === project.name && robot.projectId === projectIdOf(project);

/** The highest role that somebody has, as a member or by a group; undefined: none. */
export function roleOf(
  identity: Identity,
  { members = [], groups = [] }: Pick<ProjectRecord, 'members' | 'groups'>,
): ProjectRole | undefined {
  const roles = [
    ...members.filter(({ id }) => id === identity.id),
    ...groups.filter(({ group }) => identity.groups.includes(group)),
  ].map(({ role }) => RANK.indexOf(role));
  return roles.length === 0 ? undefined : RANK[Math.max(...roles)];
}
