import { z } from 'zod';

import { PROJECT_ROLES, type ProjectRecord, type ProjectRole } from '../../index/ports.ts';
import { mayGrant } from '../../management/decide-management.ts';
import type { ProjectAdministration } from '../../management/project-administration.ts';
import { type RoleHolder, roleOf } from '../../management/role-holder.ts';
import { registryError } from '../../oci/errors.ts';
import type { Caller } from '../caller.ts';
import { type Endpoint, endpoint, type EndpointReply } from '../endpoint.ts';
import type { ProjectGate } from '../project-gate.ts';

const ROLE = z.enum(PROJECT_ROLES);
const MEMBERS = z.object({
  members: z.array(z.object({ id: z.string(), role: ROLE })),
  groups: z.array(z.object({ group: z.string(), role: ROLE })),
});
/** Identities and groups name their source. */
const SOURCED = /^[a-z][a-z-]*:\S.{0,510}$/u;

export interface MemberEndpointsDependencies {
  readonly gate: ProjectGate;
  readonly administration: Pick<ProjectAdministration, 'setRole'>;
}

/** `/api/v1/projects/{project}/members` and `…/groups` */
export const memberEndpoints = (deps: MemberEndpointsDependencies): Endpoint[] => [
  listMembers(deps),
  ...memberRoles(deps),
  ...groupRoles(deps),
];

const listMembers = ({ gate }: MemberEndpointsDependencies): Endpoint =>
  endpoint({
    method: 'GET',
    path: '/api/v1/projects/{project}/members',
    id: 'listMembers',
    summary:
      'The members of a project and the groups with a role in it, for those who belong to it',
    access: 'signed-in',
    reply: MEMBERS,
    status: 200,
    answer: async ({ caller, parameters, signal }) => {
      const project = await gate.projectFor(caller, parameters.project, 'look', signal);
      return { value: { members: project.members ?? [], groups: project.groups ?? [] } };
    },
  });

function memberRoles(deps: MemberEndpointsDependencies): Endpoint[] {
  return [
    endpoint({
      method: 'PUT',
      path: '/api/v1/projects/{project}/members/{member}',
      id: 'setMember',
      summary: 'Give an identity (local:alice, ldap:bob, …) its role',
      access: 'person',
      body: z.object({ role: ROLE }),
      status: 204,
      audit: {
        action: 'change-right',
        about: ({ parameters, body }) => ({
          subject: `project ${parameters.project}: ${parameters.member} ${body.role}`,
        }),
      },
      answer: ({ parameters: { project, member }, body, ...call }) =>
        giveRole(deps, { ...call, project, holder: { id: member } }, body.role),
    }),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/projects/{project}/members/{member}',
      id: 'removeMember',
      summary: 'Take an identity its role',
      access: 'person',
      status: 204,
      audit: {
        action: 'change-right',
        about: ({ parameters }) => ({
          subject: `project ${parameters.project}: ${parameters.member} none`,
        }),
      },
      answer: ({ parameters: { project, member }, ...call }) =>
        takeRole(deps, { ...call, project, holder: { id: member } }),
    }),
  ];
}

function groupRoles(deps: MemberEndpointsDependencies): Endpoint[] {
  return [
    endpoint({
      method: 'PUT',
      path: '/api/v1/projects/{project}/groups/{group}',
      id: 'setGroup',
      summary: 'Give a group (ldap:staff, oidc:developers, …) its role',
      access: 'person',
      body: z.object({ role: ROLE }),
      status: 204,
      audit: {
        action: 'change-right',
        about: ({ parameters, body }) => ({
          subject: `project ${parameters.project}: group ${parameters.group} ${body.role}`,
        }),
      },
      answer: ({ parameters: { project, group }, body, ...call }) =>
        giveRole(deps, { ...call, project, holder: { group } }, body.role),
    }),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/projects/{project}/groups/{group}',
      id: 'removeGroup',
      summary: 'Take a group its role',
      access: 'person',
      status: 204,
      audit: {
        action: 'change-right',
        about: ({ parameters }) => ({
          subject: `project ${parameters.project}: group ${parameters.group} none`,
        }),
      },
      answer: ({ parameters: { project, group }, ...call }) =>
        takeRole(deps, { ...call, project, holder: { group } }),
    }),
  ];
}

interface RoleCall {
  readonly caller: Caller;
  readonly project: string;
  readonly holder: RoleHolder;
  readonly signal: AbortSignal;
}

async function giveRole(
  deps: MemberEndpointsDependencies,
  call: RoleCall,
  role: ProjectRole,
): Promise<EndpointReply> {
  const { holder } = call;
  await requireGrant(deps.gate, call, (project) => [role, roleOf(project, holder)]);
  requireSourced(nameOf(holder));
  return await setRole(deps, call, role);
}

async function takeRole(deps: MemberEndpointsDependencies, call: RoleCall): Promise<EndpointReply> {
  const { holder } = call;
  await requireGrant(deps.gate, call, (project) => [
    found(roleOf(project, holder), nameOf(holder)),
  ]);
  return await setRole(deps, call, undefined);
}

async function setRole(
  { gate, administration }: MemberEndpointsDependencies,
  { project, holder, signal }: RoleCall,
  role: ProjectRole | undefined,
): Promise<EndpointReply> {
  await administration.setRole(project, holder, role, signal);
  await gate.changed(project, signal);
  return {};
}

const nameOf = (holder: RoleHolder): string => ('id' in holder ? holder.id : holder.group);

/** Throws as `projectFor` does, and DENIED for a role above the caller's own, given or taken. */
async function requireGrant(
  gate: ProjectGate,
  { caller, project: name, signal }: RoleCall,
  roles: (project: ProjectRecord) => readonly (ProjectRole | undefined)[],
): Promise<void> {
  const project = await gate.projectFor(caller, name, 'decide', signal);
  const authority = gate.authority(caller, project);
  if (roles(project).every((role) => mayGrant(authority, role))) return;
  throw registryError('DENIED', { message: 'nobody gives or takes a role above his own' });
}

function requireSourced(id: string): void {
  if (SOURCED.test(id)) return;
  throw registryError('NAME_INVALID', {
    message: 'identities and groups are written with their source, as in local:alice or ldap:staff',
  });
}

function found(role: ProjectRole | undefined, id: string): ProjectRole {
  if (role) return role;
  throw registryError('NAME_UNKNOWN', { message: `${id.slice(0, 100)} has no role there` });
}
