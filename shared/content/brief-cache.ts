import { LRUCache } from 'lru-cache';

import type { Clock } from '../lifecycle/clock.ts';

/** How long a record may be believed after it was changed elsewhere: the bound on every revocation. */
export const BELIEVED_MS = 30_000;
/** What goes by what was read of a record may take so long without reading it again. */
export const ACTED_ON_MS = 2_000;
/** Until everything has ended that went by a record from before it was changed. */
export const SETTLED_MS = BELIEVED_MS + ACTED_ON_MS;
const MAX_ENTRIES = 10_000;

interface Entry<Value> {
  readonly value: Value;
  readonly readAtMs: number;
}

/** What was read of the store, believed for 30 seconds at most. Absence is not kept: what is new is seen at once. */
export class BriefCache<Value extends object> {
  readonly #clock: Clock;
  readonly #load: (name: string, signal: AbortSignal) => Promise<Value | undefined>;
  readonly #reloading = new Set<string>();
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
    const ageMs = this.#clock.monotonicMs() - (known?.readAtMs ?? -Infinity);
    if (!known || ageMs >= BELIEVED_MS) return await this.#reload(name, signal);
    // What is asked for often is read again beside the requests, by one of them.
    if (ageMs > BELIEVED_MS / 2 && !this.#reloading.has(name)) {
      this.#reloading.add(name);
      this.#reload(name, AbortSignal.timeout(BELIEVED_MS / 2))
        .catch(() => undefined)
        .finally(() => this.#reloading.delete(name));
    }
    return known.value;
  }

  /** As the store has it now. */
  async anew(name: string, signal: AbortSignal): Promise<Value | undefined> {
    return await this.#reload(name, signal);
  }

  async #reload(name: string, signal: AbortSignal): Promise<Value | undefined> {
    const readAtMs = this.#clock.monotonicMs();
    const value = await this.#load(name, signal);
    // Another has read it, or written it, since this reading began.
    if ((this.#entries.peek(name)?.readAtMs ?? -Infinity) > readAtMs) return value;
    if (value) this.#entries.set(name, { value, readAtMs });
    else this.#entries.delete(name);
    return value;
  }

  /** What was written just now. */
  put(name: string, value: Value): void {
    this.#entries.set(name, { value, readAtMs: this.#clock.monotonicMs() });
  }
}
