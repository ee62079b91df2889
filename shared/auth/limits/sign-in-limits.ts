import { hash } from 'node:crypto';

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

export interface SignInLimitsOptions {
  readonly hints: SharedHints;
  readonly leases: Leases;
  readonly clock: Clock;
  /** Whether names that nobody has count like wrong passwords. A mirror is sent logins of other registries all the time. */
  readonly countsUnknown: boolean;
}

/**
 * Makes guessing slow (OWASP ASVS 2.2.1): failures of a user name from one network, of a network, and of a user name
 * are counted and delay what comes next, with 429 and Retry-After. Who signed in from a network before is held up
 * there by his own mistakes alone, and mistakes elsewhere never refuse anybody.
 */
export class SignInLimits implements SignInGate {
  readonly #options: SignInLimitsOptions;
  readonly #failures: FailureCounts;
  #held = 0;

  constructor(options: SignInLimitsOptions) {
    this.#options = options;
    this.#failures = new FailureCounts(options.hints, options.leases, options.clock);
  }

  /** What `check` answers, if it may be asked now. Throws RegistryError 429; what `check` throws counts for nothing. */
  async attempt(
    { username, address }: Attempt,
    signal: AbortSignal,
    check: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const network = networkOf(address);
    const names = {
      pair: nameOf('pair', username, network),
      network: nameOf('network', network),
      user: nameOf('user', username),
    };
    const [pair, isFamiliar] = await Promise.all([
      this.#failures.of(names.pair, PAIR),
      this.#options.hints.get(familiar(names.pair)).then((known) => known !== undefined),
    ]);
    refuseFor(pair.waitMs);
    if (!isFamiliar) await this.#slowDown(names, signal);
    const verdict =
      pair.count < PAIR.free ? await check() : await this.#alone(names.pair, signal, check);
    if (verdict === 'wrong' || (verdict === 'unknown' && this.#options.countsUnknown)) {
      await this.#failures.add(names.pair, PAIR, signal);
      await this.#failures.add(names.network, NETWORK, signal);
      await this.#failures.add(names.user, USER, signal);
    } else if (verdict !== 'unknown') {
      if (pair.count > 0) await this.#failures.forget(names.pair);
      if (!isFamiliar) await this.#options.hints.put(familiar(names.pair), '1', FAMILIAR_MS);
    }
    return verdict;
  }

  async #slowDown(
    names: { readonly network: string; readonly user: string },
    signal: AbortSignal,
  ): Promise<void> {
    const [network, user] = await Promise.all([
      this.#failures.of(names.network, NETWORK),
      this.#failures.of(names.user, USER),
    ]);
    refuseFor(network.waitMs);
    if (user.waitMs === 0) return;
    if (this.#held >= MAX_HELD) refuseFor(user.waitMs);
    this.#held += 1;
    try {
      await this.#options.clock.sleep(user.waitMs, signal);
    } finally {
      this.#held -= 1;
    }
  }

  /** Of those that have failed before, one at a time: or a hundred at once would be one delay. */
  async #alone(
    pair: string,
    signal: AbortSignal,
    check: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const lease = await this.#options.leases.acquire(`attempt ${pair}`, 0, signal);
    if (!lease) throw tooMany(1_000);
    try {
      refuseFor((await this.#failures.of(pair, PAIR)).waitMs);
      return await check();
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
