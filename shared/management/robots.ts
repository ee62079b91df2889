import { z } from 'zod';

import { hashSecret, makeSecret } from '../auth/random-secret.ts';
import { type ProjectRecord, projectIdOf } from '../index/ports.ts';
import { StoreProjectIndex } from '../index/store/store-project-index.ts';
import { mapBounded } from '../index/store/map-bounded.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { registryError } from '../oci/errors.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { robotKey, robotsOfProject, robotUseKey } from '../storage/object-keys.ts';
import type { RepositoryAction } from './decide-access.ts';
import { recordPlace } from './record-place.ts';
import {
  type RecordPlace,
  VersionedRecords,
  type VersionedRecordsDependencies,
} from './versioned-records.ts';
import { withoutField } from './without-field.ts';

const SUFFIX = '.json';
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

export const ROBOT_ACTIONS = ['pull', 'push', 'delete'] as const satisfies RepositoryAction[];

const schema = z.object({
  schemaVersion: z.literal(1),
  revision: z.number().int().nonnegative().exactOptional(),
  project: z.string(),
  projectId: z.string(),
  name: z.string(),
  actions: z.array(z.enum(ROBOT_ACTIONS)),
  secretHash: z.string(),
  createdAt: z.string(),
  createdBy: z.string().exactOptional(),
  /** RFC 3339; absent: it does not expire. */
  expiresAt: z.string().exactOptional(),
  disabled: z.boolean().exactOptional(),
});

/** An account of a program, for one project. */
export type RobotRecord = z.infer<typeof schema>;

/** Which robot is meant. */
export interface RobotName {
  readonly project: string;
  readonly name: string;
}

/** `robot$project+name`, as it signs in; undefined for other user names. */
export function parseRobotName(username: string): RobotName | undefined {
  const match = /^robot\$([^+]{1,240})\+(.{1,64})$/.exec(username);
  const [, project = '', name = ''] = match ?? [];
  return isProjectName(project) && NAME.test(name) ? { project, name } : undefined;
}

export const formatRobotName = ({ project, name }: RobotName): string => `robot$${project}+${name}`;

/** The accounts of programs in the store. Nothing here asks who may do it. */
export class Robots {
  readonly #deps: VersionedRecordsDependencies & { readonly clock: Clock };
  readonly #place: RecordPlace<RobotRecord>;
  readonly #projects: StoreProjectIndex;
  readonly #versions: VersionedRecords<RobotRecord>;

  constructor(deps: VersionedRecordsDependencies & { readonly clock: Clock }) {
    this.#deps = deps;
    this.#projects = new StoreProjectIndex(deps.records);
    this.#place = recordPlace<RobotRecord>(deps.records, {
      kind: 'robots',
      schema,
      key: (path) => {
        const [project = '', name = ''] = path.split('/');
        return robotKey(project, name);
      },
    });
    this.#versions = new VersionedRecords(deps, this.#place);
  }

  /** As the store has it now. */
  async find(robot: RobotName, signal: AbortSignal): Promise<RobotRecord | undefined> {
    return isRobot(robot) ? await this.#place.get(pathOf(robot), signal) : undefined;
  }

  /** Those of a project, by name. */
  async list(project: string, signal: AbortSignal): Promise<RobotRecord[]> {
    if (!isProjectName(project)) return [];
    const children = await this.#deps.records.list(robotsOfProject(project), {}, signal);
    const names = children
      .filter((child) => !child.isFolder && child.name.endsWith(SUFFIX))
      .map((child) => child.name.slice(0, -SUFFIX.length));
    const all = await mapBounded(names, (name) => this.find({ project, name }, signal));
    return all.filter((robot) => robot !== undefined);
  }

  /** When the robot signed in last, to the minute; undefined: never. */
  async lastUse({ project, name }: RobotName, signal: AbortSignal): Promise<Date | undefined> {
    return await this.#deps.records.modifiedAt(robotUseKey(project, name), signal);
  }

  async noteUse({ project, name }: RobotName, signal: AbortSignal): Promise<void> {
    await this.#deps.records.put(robotUseKey(project, name), Buffer.from('{}'), signal);
  }

  /** Makes a robot and resolves with its secret, which is kept nowhere. Throws DENIED where there is one. */
  async add(
    project: ProjectRecord,
    robot: {
      readonly name: string;
      readonly actions: readonly RepositoryAction[];
      readonly expiresAt: Date | undefined;
      readonly createdBy: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<string> {
    const { name, actions, expiresAt, createdBy } = robot;
    const path = pathOf({ project: project.name, name });
    if (!NAME.test(name)) {
      throw refused(
        'the name of a robot has 1 to 64 characters of a-z, 0-9, ".", "_" and "-", and begins and ends with a letter or digit',
      );
    }
    if (actions.length === 0) throw refused('a robot needs a right: pull, push or delete');
    await this.#requireNotRenamed(project.name, signal);
    const secret = makeSecret();
    await this.#versions.change(
      path,
      (current) => {
        // What is left of a project that had the same name does not count.
        if (current?.projectId === projectIdOf(project)) {
          throw refused(`there is a robot ${name} in ${project.name} already`);
        }
        return {
          schemaVersion: 1,
          project: project.name,
          projectId: projectIdOf(project),
          name,
          actions: ROBOT_ACTIONS.filter((action) => actions.includes(action)),
          secretHash: hashSecret(secret),
          createdAt: this.#deps.clock.now().toISOString(),
          ...(createdBy !== undefined && { createdBy }),
          ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
        };
      },
      signal,
    );
    return secret;
  }

  /** Gives the robot another secret; the one before opens nothing any more within 30 seconds. */
  async rotate(robot: RobotName, signal: AbortSignal): Promise<string> {
    const secret = makeSecret();
    await this.#change(robot, (now) => ({ ...now, secretHash: hashSecret(secret) }), signal);
    return secret;
  }

  async setDisabled(robot: RobotName, disabled: boolean, signal: AbortSignal): Promise<void> {
    await this.#change(
      robot,
      (now) => ({ ...withoutField(now, 'disabled'), ...(disabled && { disabled }) }),
      signal,
    );
  }

  /** The same robot, with its secret, for a project that takes the id of its project over. Idempotent. */
  async copy(robot: RobotRecord, project: string, signal: AbortSignal): Promise<void> {
    const kept = withoutField(robot, 'revision');
    await this.#versions.change(
      pathOf({ project, name: robot.name }),
      (current) => (current?.projectId === robot.projectId ? current : { ...kept, project }),
      signal,
    );
  }

  /** False when there was none. Throws DENIED while the project is being renamed, as every change does. */
  async remove(robot: RobotName, signal: AbortSignal): Promise<boolean> {
    await this.#requireNotRenamed(robot.project, signal);
    return await this.drop(robot, signal);
  }

  /** Removes it, whatever is done to its project. False when there was none. */
  async drop(robot: RobotName, signal: AbortSignal): Promise<boolean> {
    if (!(await this.find(robot, signal))) return false;
    await this.#versions.change(pathOf(robot), () => undefined, signal);
    await this.#deps.records.delete(robotUseKey(robot.project, robot.name), signal);
    return true;
  }

  /** What is changed there might have been copied to the new name already, and would be as before. */
  async #requireNotRenamed(project: string, signal: AbortSignal): Promise<void> {
    const { closed, renamedTo, renamedFrom } = (await this.#projects.get(project, signal)) ?? {};
    if (closed !== true || (renamedTo ?? renamedFrom) === undefined) return;
    throw registryError('DENIED', {
      message: `the project ${project} is being renamed: finish that first`,
    });
  }

  async #change(
    robot: RobotName,
    next: (now: RobotRecord) => RobotRecord,
    signal: AbortSignal,
  ): Promise<void> {
    if (!isRobot(robot)) throw unknownRobot(robot);
    await this.#requireNotRenamed(robot.project, signal);
    await this.#versions.change(
      pathOf(robot),
      (now) => {
        if (!now) throw unknownRobot(robot);
        return next(now);
      },
      signal,
    );
  }
}

const isProjectName = (name: string): boolean =>
  !name.includes('/') && parseRepositoryName(name) !== undefined;
const isRobot = ({ project, name }: RobotName): boolean =>
  isProjectName(project) && NAME.test(name);
const pathOf = ({ project, name }: RobotName): string => `${project}/${name}`;
const refused = (message: string): Error => registryError('DENIED', { status: 400, message });
const unknownRobot = (robot: RobotName): Error =>
  registryError('NAME_UNKNOWN', { message: `there is no ${formatRobotName(robot)}` });
