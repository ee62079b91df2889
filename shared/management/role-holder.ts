import type { ProjectRecord, ProjectRole } from '../index/ports.ts';

/** Who has a role in a project: an identity, or everybody of a group (`<source>:<group>`). */
export type RoleHolder = { readonly id: string } | { readonly group: string };

/** The role that the project's record gives to exactly this one. */
export const roleOf = (
  { members, groups }: ProjectRecord,
  holder: RoleHolder,
): ProjectRole | undefined =>
  'id' in holder
    ? members?.find(({ id }) => id === holder.id)?.role
    : groups?.find(({ group }) => group === holder.group)?.role;

/** The record with the role in place of the one that was; undefined takes it away. */
export function withRole(
  project: ProjectRecord,
  holder: RoleHolder,
  role: ProjectRole | undefined,
): ProjectRecord {
  if ('id' in holder) {
    const others = (project.members ?? []).filter(({ id }) => id !== holder.id);
    return { ...project, members: role ? [...others, { id: holder.id, role }] : others };
  }
  const others = (project.groups ?? []).filter(({ group }) => group !== holder.group);
  return { ...project, groups: role ? [...others, { group: holder.group, role }] : others };
}
