import type { Leases, SharedHints } from '../../index/ports.ts';
import type { Clock } from '../../lifecycle/clock.ts';

/** From which failure on there is a delay, how it grows, and when all is forgotten. */
export interface Backoff {
  /** So many failures cost nothing. */
  readonly free: number;
  /** After the first one that does; it doubles with each. */
  readonly firstMs: number;
  readonly lastMs: number;
}

export interface Failures {
  readonly count: number;
  /** How long the next attempt has to wait, from now. */
  readonly waitMs: number;
}

const NONE: Failures = { count: 0, waitMs: 0 };
/** Failures are forgotten this long after the last one. */
const MEMORY_MS = 15 * 60_000;
/** Failures at the same moment wait for each other this long, then one may overwrite another. */
const PATIENCE_MS = 10_000;

/**
 * Counts failures by name among all processes that share the hints and leases: the replicas where there is a Redis,
 * else the processes of one program. Losing it forgets failures and nothing else.
 */
export class FailureCounts {
  readonly #hints: SharedHints;
  readonly #leases: Leases;
  readonly #clock: Clock;

  constructor(hints: SharedHints, leases: Leases, clock: Clock) {
    this.#hints = hints;
    this.#leases = leases;
    this.#clock = clock;
  }

  async of(name: string, backoff: Backoff): Promise<Failures> {
    const [count = 0, lastMs = 0] = parse(await this.#hints.get(hintName(name)));
    if (count === 0) return NONE;
    const sinceMs = this.#clock.now().getTime() - lastMs;
    return { count, waitMs: Math.max(0, delayMs(count, backoff) - Math.max(0, sinceMs)) };
  }

  /** Also when whoever guessed has left meanwhile. */
  async add(name: string, backoff: Backoff): Promise<void> {
    const { signal: unending } = new AbortController();
    const lease = await this.#leases.acquire(`count ${hintName(name)}`, PATIENCE_MS, unending);
    try {
      const { count } = await this.of(name, backoff);
      const value = `${count + 1} ${this.#clock.now().getTime()}`;
      await this.#hints.put(hintName(name), value, MEMORY_MS + delayMs(count + 1, backoff));
    } finally {
      await lease?.release();
    }
  }

  async forget(name: string): Promise<void> {
    await this.#hints.put(hintName(name), '0', 1);
  }
}

function delayMs(count: number, { free, firstMs, lastMs }: Backoff): number {
  return count <= free ? 0 : Math.min(lastMs, firstMs * 2 ** Math.min(count - free - 1, 40));
}

const hintName = (name: string): string => `failures ${name}`;

function parse(value: string | undefined): number[] {
  return value === undefined || !/^\d{1,15}( \d{1,15})?$/.test(value)
    ? []
    : value.split(' ').map(Number);
}
