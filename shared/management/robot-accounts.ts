import { hash } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { type Identity, isRobotOfProject, ROBOT_ID_PREFIX } from '../auth/identity.ts';
import { matchesSecret } from '../auth/random-secret.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../auth/password-source.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { BriefCache } from '../content/brief-cache.ts';
import type { RobotRights } from './decide-access.ts';
import {
  formatRobotName,
  parseRobotName,
  type RobotName,
  type RobotRecord,
  type Robots,
} from './robots.ts';

const USE_NOTED_MS = 60_000;
const NAME_PREFIX = 'robot$';

export interface RobotAccountsDependencies {
  readonly robots: Robots;
  readonly clock: Clock;
  /** Ends what is written beside the requests. */
  readonly shutdown: AbortSignal;
}

/** Robots sign in, and what they may. A change to one is seen by the next check, and by what asks for rights within 30 seconds. */
export class RobotAccounts implements PasswordSource {
  readonly name = 'robot';
  readonly #robots: Robots;
  readonly #clock: Clock;
  readonly #shutdown: AbortSignal;
  readonly #records: BriefCache<RobotRecord>;
  readonly #noted = new LRUCache<string, number>({ max: 10_000 });

  constructor({ robots, clock, shutdown }: RobotAccountsDependencies) {
    this.#robots = robots;
    this.#clock = clock;
    this.#shutdown = shutdown;
    this.#records = new BriefCache(clock, async (username, signal) => {
      const robot = parseRobotName(username);
      return robot && (await robots.find(robot, signal));
    });
  }

  takesAlone({ username }: Credentials): boolean {
    return username.startsWith(NAME_PREFIX);
  }

  /** User names of robots are nobody else's: one that is not there is answered like a wrong secret. */
  async check({ username, password }: Credentials, signal: AbortSignal): Promise<PasswordVerdict> {
    const name = parseRobotName(username);
    if (!name) return 'unknown';
    const robot = await this.#find(name, signal);
    const isRight = matchesSecret(password, robot?.secretHash);
    if (!robot || !isRight || !this.#isActive(robot)) return 'wrong';
    this.#noteUse(name);
    return { ...identityOf(name), stamp: stampOf(robot) };
  }

  /**
   * A robot by the id of its identity, as it is today; undefined when it is none, or has no way in. `stamp` changes with
   * the secret and says nothing about it.
   */
  async standing(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly identity: Identity; readonly stamp: string } | undefined> {
    const name = isRobotOfProject(id) ? parseRobotName(usernameOf(id)) : undefined;
    const robot = name && (await this.#find(name, signal));
    if (!name || !robot || !this.#isActive(robot)) return undefined;
    return { identity: identityOf(name), stamp: stampOf(robot) };
  }

  /** By the id of an identity; undefined when there is no such robot, or it is disabled or has expired. */
  async rightsOf(id: string, signal: AbortSignal): Promise<RobotRights | undefined> {
    if (!isRobotOfProject(id)) return undefined;
    const robot = await this.#records.get(usernameOf(id), signal);
    if (!robot || !this.#isActive(robot)) return undefined;
    const { project, projectId, actions } = robot;
    return { project, projectId, actions };
  }

  async #find(robot: RobotName, signal: AbortSignal): Promise<RobotRecord | undefined> {
    try {
      return await this.#robots.find(robot, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new IdentitySourceError(this.name, { cause });
    }
  }

  #isActive({ disabled, expiresAt }: RobotRecord): boolean {
    if (disabled === true) return false;
    return expiresAt === undefined || this.#clock.now().getTime() < Date.parse(expiresAt);
  }

  /** Beside the request, and once a minute: when it cannot be written, somebody looks later in vain, and that is all. */
  #noteUse(robot: RobotName): void {
    const name = formatRobotName(robot);
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#noted.get(name) ?? -Infinity) < USE_NOTED_MS) return;
    this.#noted.set(name, nowMs);
    this.#robots.noteUse(robot, this.#shutdown).catch(() => undefined);
  }
}

const usernameOf = (id: string): string => `${NAME_PREFIX}${id.slice(ROBOT_ID_PREFIX.length)}`;

const stampOf = ({ secretHash }: RobotRecord): string => hash('sha256', `robot ${secretHash}`);

const identityOf = (robot: RobotName): Identity => ({
  kind: 'robot',
  id: `${ROBOT_ID_PREFIX}${robot.project}+${robot.name}`,
  name: formatRobotName(robot),
  groups: [],
  isAdmin: false,
});
