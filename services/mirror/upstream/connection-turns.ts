import pLimit from 'p-limit';

import { within } from '../../../shared/concurrency/within.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { type Failure, limitedFor } from './outcome.ts';
import { routedUpstream, type Upstream } from './routed-upstream.ts';

/** Nobody waits longer for a turn: who asks then is told when to come again. */
const MAX_WAIT_MS = 5_000;
/** Whoever comes when so many are in line is told so at once. */
const MAX_WAITING = 1_000;

/** The connections to one upstream, of which there are so many. A question has one until its answer has been read. */
export class ConnectionTurns {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #clock: Clock;

  constructor(connections: number, clock: Clock) {
    this.#limit = pLimit(connections);
    this.#clock = clock;
  }

  /** Resolves with how to give it back; undefined: none was free in time. */
  async take(): Promise<(() => void) | undefined> {
    if (this.#limit.pendingCount >= MAX_WAITING) return undefined;
    const held = Promise.withResolvers<undefined>();
    const given = Promise.withResolvers<true>();
    const giveBack = (): void => held.resolve(undefined);
    void this.#limit(() => {
      given.resolve(true);
      return held.promise;
    });
    if (await within(given.promise, MAX_WAIT_MS, this.#clock)) return giveBack;
    // Its turn is over as soon as it comes.
    giveBack();
    return undefined;
  }
}

/** The upstream over no more than its connections. Who would wait too long is told so, and the upstream is not asked. */
export function withConnections(client: Upstream, turns: ConnectionTurns): Upstream {
  const busy = (): Failure => limitedFor(MAX_WAIT_MS / 1000);
  return {
    ...routedUpstream(async (_, ask) => {
      const giveBack = await turns.take();
      return giveBack ? await ask(client).finally(giveBack) : busy();
    }),
    openBlob: async (...asked) => {
      const giveBack = await turns.take();
      if (!giveBack) return busy();
      try {
        const outcome = await client.openBlob(...asked);
        if (outcome.kind === 'found') outcome.value.body.once('close', giveBack);
        else giveBack();
        return outcome;
      } catch (error) {
        giveBack();
        throw error;
      }
    },
  };
}
