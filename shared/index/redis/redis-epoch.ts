import { randomUUID } from 'node:crypto';

import type { RedisClient } from './redis-client.ts';
import { epochKey } from './redis-keys.ts';
import { END_EPOCH, OPEN_EPOCH, type RedisScript } from './redis-scripts.ts';
import type { RedisAnswer, RedisSession } from './redis-session.ts';

/** Redis as it is usable at this moment: one connection, one store, one epoch. All three change together. */
export interface OpenEpoch {
  readonly session: RedisSession;
  readonly storeId: string;
  readonly nonce: string;
}

/**
 * The span in which Redis forgot nothing. It ends with a flush (the nonce vanishes), a restart or a failover (the
 * identity of the server changes); all entries of an earlier epoch count as absent. Commands of an epoch go out on the
 * connection on which it was opened, so that a server that came back with old data is never asked before it has a new
 * epoch.
 */
export class RedisEpoch {
  readonly #client: RedisClient;
  #open: OpenEpoch | undefined;
  #opening: Promise<OpenEpoch | undefined> | undefined;

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** The epoch of now; undefined when Redis does not answer. */
  async current(storeId: string): Promise<OpenEpoch | undefined> {
    const session = this.#client.session;
    if (!session) return undefined;
    if (this.#open?.session === session && this.#open.storeId === storeId) return this.#open;
    this.#opening ??= this.#begin(session, storeId).finally(() => {
      this.#opening = undefined;
    });
    const opened = await this.#opening;
    return opened?.storeId === storeId ? opened : undefined;
  }

  /** Redis no longer knows this epoch. */
  forget(epoch: OpenEpoch): void {
    if (this.#open === epoch) this.#open = undefined;
  }

  /** Makes every entry cold for everybody. False when Redis did not answer. */
  async end(epoch: OpenEpoch): Promise<boolean> {
    this.forget(epoch);
    const answer = await epoch.session.run('reset', END_EPOCH, [epochKey(epoch.storeId)], []);
    return answer !== undefined;
  }

  /** Runs a script whose first key is the epoch and whose first argument is its nonce. */
  run(
    epoch: OpenEpoch,
    operation: string,
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<RedisAnswer> {
    const { session, storeId, nonce } = epoch;
    return session.run(operation, script, [epochKey(storeId), ...keys], [nonce, ...args]);
  }

  async #begin(session: RedisSession, storeId: string): Promise<OpenEpoch | undefined> {
    const args = [session.info.identity, randomUUID()];
    const answer = await session.run('epoch', OPEN_EPOCH, [epochKey(storeId)], args);
    if (typeof answer?.value !== 'string') return undefined;
    this.#open = { session, storeId, nonce: answer.value };
    return this.#open;
  }
}
