import { z } from 'zod';

import type { ProjectRecord } from '../../index/ports.ts';
import type { ProjectAuthority } from '../../management/decide-management.ts';
import type { NewProject, ProjectAdministration } from '../../management/project-administration.ts';
import { registryError } from '../../oci/errors.ts';
import { type Caller, identityOf } from '../caller.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { NEXT, PAGE_QUERY, visiblePageOf } from '../paging.ts';
import type { ProjectGate } from '../project-gate.ts';

const VISIBILITY = z.enum(['public', 'private']);

const PROJECT = z.object({
  name: z.string(),
  createdAt: z.string(),
  visibility: VISIBILITY,
  immutableTags: z.array(z.string()),
  /** Absent: as the mirror is configured. */
  rootPath: z.boolean().exactOptional(),
  quotaBytes: z.number().exactOptional(),
  /** Of a project that is a cache of another registry. */
  upstream: z.object({ url: z.string(), passThrough: z.boolean() }).exactOptional(),
  /** True while the project is being deleted. */
  closed: z.boolean().exactOptional(),
  /** What the caller is to the project; absent: what everybody is. */
  role: z.enum(['guest', 'developer', 'maintainer', 'admin', 'administrator']).exactOptional(),
});

export interface ProjectEndpointsDependencies {
  readonly gate: ProjectGate;
  readonly administration: Pick<ProjectAdministration, 'list' | 'create' | 'set' | 'delete'>;
  /** Who may make projects. */
  readonly creation: 'everyone' | 'admins';
  /** What the index remembers of a cache's repositories that are gone is forgotten. */
  readonly afterCacheDeletion?: (() => Promise<unknown>) | undefined;
}

/** `/api/v1/projects` */
export const projectEndpoints = (deps: ProjectEndpointsDependencies): Endpoint[] => [
  ...allProjects(deps),
  ...oneProject(deps),
];

function allProjects({ gate, administration, creation }: ProjectEndpointsDependencies): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/projects',
      id: 'listProjects',
      summary: 'The projects that the caller may pull from, by name',
      access: 'reader',
      query: PAGE_QUERY,
      reply: z.object({ projects: z.array(PROJECT), next: NEXT }),
      status: 200,
      answer: async ({ caller, query, signal }) => {
        const { entries, ...rest } = await visiblePageOf(
          await administration.list(signal),
          ({ name }) => name,
          query,
          (name) => gate.isVisible(caller, name, signal),
        );
        const projects = entries.map((project) => shown(gate, caller, project));
        return { value: { projects, ...rest } };
      },
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/projects',
      id: 'createProject',
      summary:
        'Make a project; the caller becomes its maintainer. Caches of another registry are for administrators',
      access: 'person',
      body: z.object({
        name: z.string(),
        visibility: VISIBILITY.default('private'),
        /** The address of the registry that the project shall cache. */
        upstream: z.string().max(512).exactOptional(),
        /** The mirror passes on to who may pull what its account for that address may read, and keeps none of it. */
        passThrough: z.boolean().exactOptional(),
      }),
      reply: PROJECT,
      status: 201,
      audit: {
        action: 'change-right',
        about: ({ body }) => ({
          subject: `project ${body.name}${body.passThrough === true ? ': passThrough' : ''}`,
        }),
      },
      answer: async ({ caller, body, signal }) => {
        const maker = gate.makerOf(caller);
        const isForAdmins = creation === 'admins' || body.upstream !== undefined;
        if (isForAdmins && maker?.isAdmin === false) {
          throw registryError('DENIED', {
            message: 'administrators alone make such projects here',
          });
        }
        if (body.passThrough === true) requireAdministrator(maker);
        const made = { ...body, owner: identityOf(caller)?.id, maker };
        const { name } = await administration.create(made, signal);
        const project = await gate.changed(name, signal);
        return {
          value: shown(gate, caller, project),
          headers: { Location: `/api/v1/projects/${project.name}` },
        };
      },
    }),
  ];
}

function oneProject(deps: ProjectEndpointsDependencies): Endpoint[] {
  const { gate, administration } = deps;
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/projects/{project}',
      id: 'getProject',
      summary: 'One project',
      access: 'reader',
      reply: PROJECT,
      status: 200,
      answer: async ({ caller, parameters, signal }) => ({
        value: shown(gate, caller, await gate.project(caller, parameters.project, signal)),
      }),
    }),
    endpoint({
      method: 'PATCH',
      path: '/api/v1/projects/{project}',
      id: 'changeProject',
      summary:
        'Change settings; null takes one back. rootPath, quotaBytes and passThrough are for administrators',
      access: 'person',
      body: z.object({
        visibility: VISIBILITY.exactOptional(),
        immutableTags: z.array(z.string().max(128)).max(100).nullable().exactOptional(),
        rootPath: z.boolean().nullable().exactOptional(),
        quotaBytes: z.number().int().nonnegative().nullable().exactOptional(),
        passThrough: z.boolean().exactOptional(),
      }),
      reply: PROJECT,
      status: 200,
      audit: {
        action: 'change-right',
        about: ({ parameters, body }) => ({
          subject: `project ${parameters.project}: ${Object.keys(body).join(', ')}`,
        }),
      },
      answer: async ({ caller, parameters, body, signal }) => {
        const { project: name } = parameters;
        const { rootPath, quotaBytes, passThrough } = body;
        const isForAdmins = [rootPath, quotaBytes, passThrough].some(
          (given) => given !== undefined,
        );
        const task = isForAdmins ? 'approve' : 'decide';
        await gate.projectFor(caller, name, task, signal);
        if (passThrough === true) requireAdministrator(gate.makerOf(caller));
        const settings = Object.fromEntries(
          Object.entries(body).map(([field, value]) => [field, value ?? undefined]),
        );
        if (passThrough === false) settings['passThrough'] = undefined;
        await administration.set(name, settings, signal);
        return { value: shown(gate, caller, await gate.changed(name, signal)) };
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/projects/{project}',
      id: 'deleteProject',
      summary: 'Delete a project without images, with its robots. Takes half a minute',
      access: 'person',
      status: 204,
      audit: {
        action: 'change-right',
        about: ({ parameters }) => ({ subject: `project ${parameters.project}: deleted` }),
      },
      answer: async ({ caller, parameters, signal }) => {
        const { project: name } = parameters;
        const { upstream } = await gate.projectFor(caller, name, 'decide', signal);
        await administration.delete(name, signal);
        if (upstream) await deps.afterCacheDeletion?.();
        return {};
      },
    }),
  ];
}

/** In modes in which nobody in particular is one, a mirror's account is not to be lent out by whoever comes along. */
function requireAdministrator(maker: NewProject['maker']): void {
  if (maker?.isAdmin === true) return;
  throw registryError('DENIED', {
    message: 'administrators alone have private images passed on, with AUTH_MODE=token',
  });
}

const shown = (gate: ProjectGate, caller: Caller, project: ProjectRecord): object =>
  described(project, gate.authority(caller, project));

function described(project: ProjectRecord, authority: ProjectAuthority): object {
  const { name, createdAt, visibility, immutableTags, rootPath, quotaBytes, closed } = project;
  return {
    name,
    createdAt,
    visibility: visibility ?? 'public',
    immutableTags: [...(immutableTags ?? [])],
    ...(rootPath !== undefined && { rootPath }),
    ...(quotaBytes !== undefined && { quotaBytes }),
    ...(project.upstream && { upstream: addressOf(project.upstream) }),
    ...(closed === true && { closed }),
    ...(authority !== undefined && { role: authority }),
  };
}

const addressOf = ({ url, passThrough }: NonNullable<ProjectRecord['upstream']>): object => ({
  url,
  passThrough: passThrough === true,
});
