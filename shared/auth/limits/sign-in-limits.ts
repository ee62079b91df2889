import { hash } from 'node:crypto';

import { FairTurns, NoTurnError } from '../../concurrency/fair-turns.ts';
import type { Leases, SharedHints } from '../../index/ports.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import { registryError } from '../../oci/errors.ts';
import type { PasswordVerdict } from '../password-source.ts';
import type { Attempt, SignInGate } from '../sign-in-gate.ts';
import { type Backoff, FailureCounts } from './failures.ts';
import { networkOf } from './network-of.ts';

/** One user name from one network: five mistakes are free, then a second, two, four … up to a quarter of an hour. */
const PAIR: Backoff = { free: 5, firstMs: 1_000, lastMs: 15 * 60_000 };
/** One network, whatever the names: what keeps one from trying a password with everybody. A campus may be one address. */
const NETWORK: Backoff = { free: 50, firstMs: 1_000, lastMs: 60_000 };
/** One user name from everywhere: attempts are slowed down and never refused, or anybody could lock anybody out. */
const USER: Backoff = { free: 20, firstMs: 100, lastMs: 5_000 };

/** Networks from which somebody signed in are his for this long. */
const FAMILIAR_MS = 30 * 24 * 3600_000;
/** So many attempts are held back at once by this process; more are refused. */
const MAX_HELD = 256;
/** Guesses of one name that come together are one after the other, or none of them would know of the others. */
const OF_PAIR = { running: Infinity, runningEach: 1, waiting: 4_096, waitingEach: 128 } as const;
/** So many strangers of one network at once: as many guesses may go beyond what is free. */
const OF_NETWORK = {
  running: Infinity,
  runningEach: 32,
  waiting: 4_096,
  waitingEach: 256,
} as const;
/** How long an attempt waits for one under the same name in another process. */
const ELSEWHERE_MS = 5_000;

export interface SignInLimitsOptions {
  readonly hints: SharedHints;
  readonly leases: Leases;
  readonly clock: Clock;
  /**
   * For logins that docker sends along by itself and that nobody needs: they are counted apart, so that they hold up
   * nobody who signs in, and refused at once where others would be held back.
   */
  readonly isTolerant?: boolean;
}

interface Names {
  readonly pair: string;
  readonly network: string;
  readonly user: string;
}

/** What is known of who attempts it. */
interface Before {
  readonly count: number;
  readonly isFamiliar: boolean;
}

/**
 * Makes guessing slow (OWASP ASVS 2.2.1): failures of a user name from one network, of a network, and of a user name
 * are counted and delay what comes next, with 429 and Retry-After. Who signed in from a network before is held up
 * there by his own mistakes alone, and mistakes elsewhere never refuse anybody. Names that nobody has are counted like
 * those that somebody has, so that nobody learns which is which.
 */
export class SignInLimits implements SignInGate {
  readonly #options: SignInLimitsOptions;
  readonly #failures: FailureCounts;
  readonly #ofPair = new FairTurns(OF_PAIR);
  readonly #ofNetwork = new FairTurns(OF_NETWORK);
  #held = 0;

  constructor(options: SignInLimitsOptions) {
    this.#options = options;
    this.#failures = new FailureCounts(options.hints, options.leases, options.clock);
  }

  /**
   * What `check` answers, if it may be asked now. Throws RegistryError 429, and the signal's reason when it aborts before;
   * what `check` throws counts for nothing.
   */
  async attempt(
    { username, address }: Attempt,
    signal: AbortSignal,
    check: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const network = networkOf(address);
    const apart = this.#options.isTolerant === true ? 'tolerant-' : '';
    const names: Names = {
      pair: nameOf(`${apart}pair`, username, network),
      network: nameOf(`${apart}network`, network),
      user: nameOf(`${apart}user`, username),
    };
    try {
      return await this.#ofPair.run(names.pair, signal, () => this.#inTurn(names, signal, check));
    } catch (error) {
      throw error instanceof NoTurnError ? tooMany(1_000) : error;
    }
  }

  async #inTurn(
    names: Names,
    signal: AbortSignal,
    check: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const [pair, isFamiliar] = await Promise.all([
      this.#failures.of(names.pair, PAIR),
      this.#options.hints.get(familiar(names.pair)).then((known) => known !== undefined),
    ]);
    refuseFor(pair.waitMs);
    const before = { count: pair.count, isFamiliar };
    const compare = (): Promise<PasswordVerdict> =>
      pair.count < PAIR.free
        ? this.#compare(names, before, check)
        : this.#alone(names, signal, () => this.#compare(names, before, check));
    if (isFamiliar) return await compare();
    await this.#slowDown(names.user, signal);
    return await this.#ofNetwork.run(names.network, signal, async () => {
      refuseFor((await this.#failures.of(names.network, NETWORK)).waitMs);
      return await compare();
    });
  }

  async #compare(
    names: Names,
    { count, isFamiliar }: Before,
    check: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const verdict = await check();
    if (typeof verdict === 'string') {
      await this.#failures.add(names.pair, PAIR);
      await this.#failures.add(names.network, NETWORK);
      await this.#failures.add(names.user, USER);
    } else {
      if (count > 0) await this.#failures.forget(names.pair);
      if (!isFamiliar) await this.#options.hints.put(familiar(names.pair), '1', FAMILIAR_MS);
    }
    return verdict;
  }

  async #slowDown(name: string, signal: AbortSignal): Promise<void> {
    const { waitMs } = await this.#failures.of(name, USER);
    if (waitMs === 0) return;
    if (this.#options.isTolerant === true || this.#held >= MAX_HELD) refuseFor(waitMs);
    this.#held += 1;
    try {
      await this.#options.clock.sleep(waitMs, signal);
    } finally {
      this.#held -= 1;
    }
  }

  /** Of those that have failed before, one at a time among all processes. */
  async #alone(
    { pair }: Names,
    signal: AbortSignal,
    compare: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const lease = await this.#options.leases.acquire(`attempt ${pair}`, ELSEWHERE_MS, signal);
    if (!lease) throw tooMany(1_000);
    try {
      refuseFor((await this.#failures.of(pair, PAIR)).waitMs);
      return await compare();
    } finally {
      await lease.release();
    }
  }
}

/** Names of people are in Redis as hashes, of one length and of plain characters. */
function nameOf(kind: string, ...parts: readonly string[]): string {
  return `${kind}-${hash('sha256', JSON.stringify(parts)).slice(0, 32)}`;
}

const familiar = (pair: string): string => `familiar ${pair}`;

function refuseFor(waitMs: number): void {
  if (waitMs > 0) throw tooMany(waitMs);
}

const tooMany = (waitMs: number) =>
  registryError('TOOMANYREQUESTS', {
    message: 'too many failed attempts to sign in; try again later',
    headers: { 'Retry-After': String(Math.ceil(waitMs / 1_000)) },
  });
