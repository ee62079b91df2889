import { randomUUID } from 'node:crypto';

import type { IndexTiming } from './index-timing.ts';
import type { OpenEpoch, RedisEpoch } from './redis-epoch.ts';
import { entryKey, type CacheKey } from './redis-keys.ts';
import { READ_ENTRIES } from './redis-scripts.ts';

/** Keys of one script: Redis serves nobody else while it runs. */
const MAX_KEYS = 64;

/** What Redis says of one entry; undefined when it does not answer, or nothing may be read or filled in now. */
export type EntryAnswer =
  | { readonly kind: 'hit'; readonly text: string }
  | { readonly kind: 'miss'; readonly generation: string }
  | undefined;

interface Gathering {
  readonly epoch: OpenEpoch;
  /** In the order in which they are asked for; who asks for the same entry gets the same answer. */
  readonly keys: Map<CacheKey, PromiseWithResolvers<EntryAnswer>>;
}

/**
 * Reads entries for all requests that came in one turn of the event loop by one script: a round trip to Redis costs a
 * process more than everything else that a small answer takes. Each entry is read after it was asked for, so an answer
 * is as new as that of a question of its own.
 */
export class EntryReads {
  readonly #epoch: RedisEpoch;
  readonly #timing: IndexTiming;
  #gathering: Gathering | undefined;

  constructor(epoch: RedisEpoch, timing: IndexTiming) {
    this.#epoch = epoch;
    this.#timing = timing;
  }

  /** Never rejects. */
  ask(epoch: OpenEpoch, key: CacheKey): Promise<EntryAnswer> {
    let gathering = this.#gathering;
    if (gathering?.epoch !== epoch || gathering.keys.size >= MAX_KEYS) {
      const begun = { epoch, keys: new Map() };
      setImmediate(() => void this.#send(begun));
      this.#gathering = begun;
      gathering = begun;
    }
    let answer = gathering.keys.get(key);
    if (!answer) {
      answer = Promise.withResolvers();
      gathering.keys.set(key, answer);
    }
    return answer.promise;
  }

  async #send(gathering: Gathering): Promise<void> {
    if (this.#gathering === gathering) this.#gathering = undefined;
    const { epoch, keys } = gathering;
    const entries = [...keys.keys()].map((key) => entryKey(epoch.storeId, key));
    const { coldMs, absentTtlMs } = this.#timing;
    const args = [randomUUID(), coldMs, absentTtlMs];
    const answer = await this.#epoch.run(epoch, 'read', READ_ENTRIES, entries, args);
    const texts = (answer?.value ?? []) as readonly string[];
    if (answer && texts.length === 0) this.#epoch.forget(epoch);
    let position = 0;
    for (const { resolve } of keys.values()) {
      resolve(parseAnswer(texts[position]));
      position += 1;
    }
  }
}

/** See READ_ENTRIES. */
function parseAnswer(text: string | undefined): EntryAnswer {
  const rest = text?.slice(1) ?? '';
  if (text?.startsWith('=') === true) return { kind: 'hit', text: rest };
  return text?.startsWith('?') === true ? { kind: 'miss', generation: rest } : undefined;
}
