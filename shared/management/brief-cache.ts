import { LRUCache } from 'lru-cache';

import type { Clock } from '../lifecycle/clock.ts';

/** How long a record may be believed after it was changed elsewhere: the bound on every revocation. */
export const BELIEVED_MS = 30_000;
const MAX_ENTRIES = 10_000;

interface Entry<Value> {
  readonly value: Value;
  readonly readAtMs: number;
}

/** What was read of the store, believed for 30 seconds at most. Absence is not kept: what is new is seen at once. */
export class BriefCache<Value extends object> {
  readonly #clock: Clock;
  readonly #load: (name: string, signal: AbortSignal) => Promise<Value | undefined>;
  readonly #entries = new LRUCache<string, Entry<Value>>({ max: MAX_ENTRIES });

  constructor(
    clock: Clock,
    load: (name: string, signal: AbortSignal) => Promise<Value | undefined>,
  ) {
    this.#clock = clock;
    this.#load = load;
  }

  async get(name: string, signal: AbortSignal): Promise<Value | undefined> {
    const known = this.#entries.get(name);
    if (known && this.#clock.monotonicMs() - known.readAtMs < BELIEVED_MS) return known.value;
    return await this.reload(name, signal);
  }

  /** As the store has it now. */
  async reload(name: string, signal: AbortSignal): Promise<Value | undefined> {
    const readAtMs = this.#clock.monotonicMs();
    const value = await this.#load(name, signal);
    if (value) this.#entries.set(name, { value, readAtMs });
    else this.#entries.delete(name);
    return value;
  }
}
