import { LRUCache } from 'lru-cache';

import { matchesSecret } from '../auth/random-secret.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../auth/password-source.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { BriefCache } from './brief-cache.ts';
import type { RobotRights } from './decide-access.ts';
import {
  formatRobotName,
  parseRobotName,
  type RobotName,
  type RobotRecord,
  type Robots,
} from './robots.ts';

const USE_NOTED_MS = 60_000;
const ID_PREFIX = 'robot:';

export interface RobotAccountsDependencies {
  readonly robots: Robots;
  readonly clock: Clock;
  /** Ends what is written beside the requests. */
  readonly shutdown: AbortSignal;
}

/** Robots sign in, and what they may. A change to one is seen within 30 seconds. */
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

  /** User names of robots are nobody else's: one that is not there is answered like a wrong secret. */
  async check({ username, password }: Credentials, signal: AbortSignal): Promise<PasswordVerdict> {
    const name = parseRobotName(username);
    if (!name) return 'unknown';
    const robot = await this.#find(username, signal, 'believed');
    if (robot && this.#fits(password, robot)) return this.#signedIn(name);
    // The secret may have been made a moment ago.
    const now = robot && (await this.#find(username, signal, 'now'));
    if (now && this.#fits(password, now)) return this.#signedIn(name);
    if (!robot) matchesSecret(password, undefined);
    return 'wrong';
  }

  /** By the id of an identity; undefined when there is no such robot, or it is disabled or has expired. */
  async rightsOf(id: string, signal: AbortSignal): Promise<RobotRights | undefined> {
    if (!id.startsWith(ID_PREFIX)) return undefined;
    const robot = await this.#records.get(`robot$${id.slice(ID_PREFIX.length)}`, signal);
    if (!robot || !this.#isActive(robot)) return undefined;
    const { project, projectId, actions } = robot;
    return { project, projectId, actions };
  }

  async #find(
    username: string,
    signal: AbortSignal,
    as: 'believed' | 'now',
  ): Promise<RobotRecord | undefined> {
    try {
      return await (as === 'now'
        ? this.#records.reload(username, signal)
        : this.#records.get(username, signal));
    } catch (cause) {
      signal.throwIfAborted();
      throw new IdentitySourceError(this.name, { cause });
    }
  }

  #fits(secret: string, robot: RobotRecord): boolean {
    return matchesSecret(secret, robot.secretHash) && this.#isActive(robot);
  }

  #isActive({ disabled, expiresAt }: RobotRecord): boolean {
    if (disabled === true) return false;
    return expiresAt === undefined || this.#clock.now().getTime() < Date.parse(expiresAt);
  }

  #signedIn(robot: RobotName): PasswordVerdict {
    this.#noteUse(robot);
    const name = formatRobotName(robot);
    const id = `${ID_PREFIX}${robot.project}+${robot.name}`;
    return { kind: 'robot', id, name, groups: [], isAdmin: false };
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
