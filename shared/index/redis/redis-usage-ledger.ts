import { randomUUID } from 'node:crypto';

import type { Digest } from '../../oci/digest.ts';
import {
  ABANDONED_MS,
  type CountedBlob,
  type CountedProject,
  type Counting,
  type Room,
  type RoomRequest,
  type UsageLedger,
} from '../usage-ledger.ts';
import { usageKey } from './redis-keys.ts';
import type { RedisScope } from './redis-scope.ts';
import {
  BEGIN_LEDGER,
  COUNT_FOUND,
  DROP_COUNTED,
  LEDGER_STATE,
  PUBLISH_LEDGER,
  type RedisScript,
  RELEASE_ROOM,
  RESERVE_ROOM,
  SCAN_LEDGER,
  SETTLE_ROOM,
} from './redis-scripts.ts';

/** As often a command is sent whose answer did not come in time: each may be executed twice without harm. */
const TRIES = 4;
/** Digests that one command carries, so that it ends well within its deadline. */
const AT_ONCE = 200;

/**
 * What projects take, in Redis. A flush, a restart or a failover of Redis makes it cold, since it may have lost what was
 * reserved: whoever asks next counts the project again.
 */
export class RedisUsageLedger implements UsageLedger {
  readonly #scope: RedisScope;

  constructor(scope: RedisScope) {
    this.#scope = scope;
  }

  async total(project: CountedProject): Promise<number | undefined> {
    const state = await this.#run(project, 'usage.state', LEDGER_STATE, []);
    if (!Array.isArray(state)) return undefined;
    const [, isKnown, total] = state as [string, number, string];
    return isKnown === 1 ? Number(total) : undefined;
  }

  async reserve(project: CountedProject, { blob, quotaBytes, token }: RoomRequest): Promise<Room> {
    const args = [blob.digest, blob.size, quotaBytes, token];
    const answer = await this.#run(project, 'usage.reserve', RESERVE_ROOM, args);
    if (answer === undefined) return { kind: 'unreachable' };
    if (answer === 'cold' || answer === 'held') return { kind: answer };
    return { kind: 'over', usedBytes: Number(answer) };
  }

  async settle(project: CountedProject, { digest, size }: CountedBlob): Promise<boolean> {
    return (await this.#run(project, 'usage.settle', SETTLE_ROOM, [digest, size])) === 1;
  }

  async release(project: CountedProject, { blob, token }: RoomRequest): Promise<void> {
    await this.#run(project, 'usage.release', RELEASE_ROOM, [blob.digest, token]);
  }

  async recount(project: CountedProject, count: Counting): Promise<boolean> {
    const state = await this.#run(project, 'usage.state', LEDGER_STATE, []);
    if (!Array.isArray(state)) return false;
    const [sinceMs, isKnown] = state as [string, number];
    const found = await count();
    if (isKnown === 1) return await this.#correct(project, found, Number(sinceMs));
    return await this.#begin(project, found);
  }

  async #begin(project: CountedProject, found: ReadonlyMap<Digest, number>): Promise<boolean> {
    const aside = { ...project, id: `${project.id}:${randomUUID()}` };
    if ((await this.#run(aside, 'usage.begin', BEGIN_LEDGER, [])) !== 1) return false;
    if (!(await this.#add(aside, found))) return false;
    const published = await this.#run(project, 'usage.publish', PUBLISH_LEDGER, [], aside);
    return published === 1;
  }

  /** What was linked before the count began and was not found is gone. */
  async #correct(
    project: CountedProject,
    found: ReadonlyMap<Digest, number>,
    sinceMs: number,
  ): Promise<boolean> {
    if (!(await this.#add(project, found))) return false;
    let cursor = '0';
    do {
      const page = await this.#scan(project, cursor);
      if (!page) return false;
      const gone = page.entries.flatMap(([digest, entry]) => {
        const [, atMs = '', token] = entry.split('/');
        const untilMs = token === '' ? sinceMs : sinceMs - ABANDONED_MS;
        const isGone = !found.has(digest as Digest) && Number(atMs) < untilMs;
        return isGone ? [digest, entry] : [];
      });
      if (gone.length > 0) await this.#run(project, 'usage.drop', DROP_COUNTED, gone);
      cursor = page.next;
    } while (cursor !== '0');
    return true;
  }

  async #add(project: CountedProject, found: ReadonlyMap<Digest, number>): Promise<boolean> {
    const all = [...found];
    for (let at = 0; at < all.length; at += AT_ONCE) {
      const some = all.slice(at, at + AT_ONCE).flat();
      if ((await this.#run(project, 'usage.count', COUNT_FOUND, some)) !== 1) return false;
    }
    return true;
  }

  async #scan(
    project: CountedProject,
    cursor: string,
  ): Promise<{ readonly next: string; readonly entries: [string, string][] } | undefined> {
    const { session, storeId } = this.#scope;
    if (!session || storeId === undefined) return undefined;
    const keys = [usageKey(storeId, project.name, project.id)];
    const answer = await session.run('usage.scan', SCAN_LEDGER, keys, [cursor, AT_ONCE]);
    if (!Array.isArray(answer?.value)) return undefined;
    const [next, fields] = answer.value as [string, string[]];
    const entries: [string, string][] = [];
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const [name = '', entry = ''] = fields.slice(at, at + 2);
      if (name.includes(':')) entries.push([name, entry]);
    }
    return { next, entries };
  }

  /** The answer of a script that takes the server's identity first; undefined when Redis does not answer. */
  async #run(
    project: CountedProject,
    operation: string,
    script: RedisScript,
    args: readonly (string | number)[],
    second?: CountedProject,
  ): Promise<unknown> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const { session, storeId } = this.#scope;
      if (!session || storeId === undefined) return undefined;
      const keys = [project, ...(second ? [second] : [])].map(({ name, id }) =>
        usageKey(storeId, name, id),
      );
      const { identity } = session.info;
      const answer = await session.run(operation, script, keys, [identity, ...args]);
      if (answer) return answer.value;
    }
    return undefined;
  }
}
