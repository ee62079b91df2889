import { waitFor } from '../concurrency/single-flight.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { StorageError } from '../storage/errors.ts';

export interface Seen<Value> {
  readonly value: Value;
  /** When the reading of it began, by the clock's monotonic time. */
  readonly asOfMs: number;
}

export interface PolledViewOptions<Value> {
  /** Reads all of it from the store. */
  readonly load: (signal: AbortSignal) => Promise<Value>;
  readonly clock: Clock;
  /** How old an answer may be. */
  readonly maxAgeMs: number;
  /** Ends what is being read. */
  readonly lifetime: AbortSignal;
}

/**
 * Something small in the store that every request looks at and that other processes change: read at most every half
 * `maxAgeMs`, beside the requests as long as they come often, and by the request itself when the last reading is older.
 */
export class PolledView<Value> {
  readonly #options: PolledViewOptions<Value>;
  #seen: Seen<Value> | undefined;
  #loading: Promise<Seen<Value>> | undefined;

  constructor(options: PolledViewOptions<Value>) {
    this.#options = options;
  }

  /** What was read last, however old; undefined before the first reading. */
  get last(): Seen<Value> | undefined {
    return this.#seen;
  }

  /** What was read, unless it is older than `maxAgeMs`; reads it anew beside the caller when it soon will be. */
  peek(): Seen<Value> | undefined {
    const { clock, maxAgeMs } = this.#options;
    if (!this.#seen) return undefined;
    const ageMs = clock.monotonicMs() - this.#seen.asOfMs;
    if (ageMs > maxAgeMs) return undefined;
    if (ageMs > maxAgeMs / 2) this.refresh().catch(() => undefined);
    return this.#seen;
  }

  /** At most `maxAgeMs` old when it resolves. Throws StorageError when the store cannot tell. */
  async get(signal: AbortSignal): Promise<Seen<Value>> {
    const known = this.peek();
    if (known) return known;
    const seen = await waitFor(this.refresh(), signal);
    const { clock, maxAgeMs } = this.#options;
    if (clock.monotonicMs() - seen.asOfMs <= maxAgeMs) return seen;
    throw new StorageError(
      'view.load',
      'the store took too long to tell what is removed or denied',
    );
  }

  /** Reads it now; calls at the same time share one reading. */
  refresh(): Promise<Seen<Value>> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(): Promise<Seen<Value>> {
    const { load, clock, lifetime } = this.#options;
    const asOfMs = clock.monotonicMs();
    const value = await load(lifetime);
    this.#seen = { value, asOfMs };
    return this.#seen;
  }
}
