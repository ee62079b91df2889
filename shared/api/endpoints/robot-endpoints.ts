import { z } from 'zod';

import { type ProjectRecord, projectIdOf } from '../../index/ports.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import {
  formatRobotName,
  type RobotName,
  type RobotRecord,
  ROBOT_ACTIONS,
  type Robots,
} from '../../management/robots.ts';
import { registryError } from '../../oci/errors.ts';
import { type Caller, identityOf } from '../caller.ts';
import { type AuditSubject, type Endpoint, endpoint } from '../endpoint.ts';
import type { ProjectGate } from '../project-gate.ts';

const DAY_MS = 86_400_000;
const MAX_DAYS = 3650;
const ACTIONS = z.array(z.enum(ROBOT_ACTIONS)).min(1).max(ROBOT_ACTIONS.length);

const ROBOT = z.object({
  name: z.string(),
  /** As it signs in. */
  username: z.string(),
  actions: z.array(z.enum(ROBOT_ACTIONS)),
  createdAt: z.string(),
  createdBy: z.string().exactOptional(),
  expiresAt: z.string().exactOptional(),
  /** To the minute; absent: never. */
  lastUsedAt: z.string().exactOptional(),
  disabled: z.boolean(),
});
/** The secret is shown this once. */
const MADE = z.object({ username: z.string(), secret: z.string() });

export interface RobotEndpointsDependencies {
  readonly gate: ProjectGate;
  readonly robots: Robots;
  readonly clock: Clock;
}

const aboutRobot = ({
  parameters,
}: {
  readonly parameters: { readonly project: string; readonly robot: string };
}): AuditSubject => ({
  subject: formatRobotName({ project: parameters.project, name: parameters.robot }),
});

/** `/api/v1/projects/{project}/robots` */
export const robotEndpoints = (deps: RobotEndpointsDependencies): Endpoint[] => [
  ...allRobots(deps),
  ...oneRobot(deps),
];

function allRobots({ gate, robots, clock }: RobotEndpointsDependencies): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/projects/{project}/robots',
      id: 'listRobots',
      summary: 'The robots of a project, for its maintainers',
      access: 'signed-in',
      reply: z.object({ robots: z.array(ROBOT) }),
      status: 200,
      answer: async ({ caller, parameters, signal }) => {
        const project = await gate.projectFor(caller, parameters.project, 'decide', signal);
        const all = (await robots.list(project.name, signal)).filter((robot) =>
          inProject(robot, project),
        );
        const shown = await Promise.all(all.map((robot) => described(robots, robot, signal)));
        return { value: { robots: shown } };
      },
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/projects/{project}/robots',
      id: 'addRobot',
      summary: 'Make a robot; its secret is shown this once',
      access: 'person',
      body: z.object({
        name: z.string(),
        actions: ACTIONS,
        days: z.number().int().min(1).max(MAX_DAYS).exactOptional(),
      }),
      reply: MADE,
      status: 201,
      audit: {
        action: 'make-secret',
        about: ({ parameters, body }) => ({
          subject: `${formatRobotName({ project: parameters.project, name: body.name })} ${body.actions.join(',')}`,
        }),
      },
      answer: async ({ caller, parameters, body, signal }) => {
        const project = await gate.projectFor(caller, parameters.project, 'decide', signal);
        const { name, actions, days } = body;
        const expiresAt =
          days === undefined ? undefined : new Date(clock.now().getTime() + days * DAY_MS);
        const createdBy = identityOf(caller)?.id;
        const secret = await robots.add(project, { name, actions, expiresAt, createdBy }, signal);
        return {
          value: { username: formatRobotName({ project: project.name, name }), secret },
          headers: { Location: `/api/v1/projects/${project.name}/robots/${name}` },
        };
      },
    }),
  ];
}

function oneRobot(deps: RobotEndpointsDependencies): Endpoint[] {
  const { robots } = deps;
  return [
    endpoint({
      method: 'POST',
      path: '/api/v1/projects/{project}/robots/{robot}/secret',
      id: 'rotateRobot',
      summary: 'Give a robot another secret, shown this once; the one before ends',
      access: 'person',
      reply: MADE,
      status: 200,
      audit: { action: 'make-secret', about: aboutRobot },
      answer: async ({ caller, parameters, signal }) => {
        const robot = await requireRobot(deps, caller, parameters, signal);
        const secret = await robots.rotate(robot, signal);
        return { value: { username: formatRobotName(robot), secret } };
      },
    }),
    endpoint({
      method: 'PATCH',
      path: '/api/v1/projects/{project}/robots/{robot}',
      id: 'changeRobot',
      summary: 'Disable a robot, or let it in again',
      access: 'person',
      body: z.object({ disabled: z.boolean() }),
      status: 204,
      audit: {
        action: 'change-right',
        about: ({ parameters, body }) => ({
          subject: `${formatRobotName({ project: parameters.project, name: parameters.robot })} ${body.disabled ? 'disabled' : 'enabled'}`,
        }),
      },
      answer: async ({ caller, parameters, body, signal }) => {
        await robots.setDisabled(
          await requireRobot(deps, caller, parameters, signal),
          body.disabled,
          signal,
        );
        return {};
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/projects/{project}/robots/{robot}',
      id: 'removeRobot',
      summary: 'Remove a robot',
      access: 'person',
      status: 204,
      audit: { action: 'revoke-secret', about: aboutRobot },
      answer: async ({ caller, parameters, signal }) => {
        await robots.remove(await requireRobot(deps, caller, parameters, signal), signal);
        return {};
      },
    }),
  ];
}

async function described(robots: Robots, robot: RobotRecord, signal: AbortSignal): Promise<object> {
  const lastUse = await robots.lastUse(robot, signal);
  const { name, actions, createdAt, createdBy, expiresAt, disabled = false } = robot;
  return {
    ...{ name, username: formatRobotName(robot), actions, createdAt, disabled },
    ...(createdBy !== undefined && { createdBy }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(lastUse && { lastUsedAt: lastUse.toISOString() }),
  };
}

/** Of this project and none of the same name before it. */
const inProject = (robot: RobotRecord, project: ProjectRecord): boolean =>
  robot.projectId === projectIdOf(project);

async function requireRobot(
  { gate, robots }: RobotEndpointsDependencies,
  caller: Caller,
  { project: projectName, robot: name }: { readonly project: string; readonly robot: string },
  signal: AbortSignal,
): Promise<RobotName> {
  const project = await gate.projectFor(caller, projectName, 'decide', signal);
  const robot = await robots.find({ project: project.name, name }, signal);
  if (robot && inProject(robot, project)) return { project: project.name, name };
  throw registryError('NAME_UNKNOWN', {
    message: `there is no robot ${name.slice(0, 64)} there`,
  });
}
