import { hash, randomBytes } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { JoinedWork } from '../concurrency/joined-work.ts';
import { waitFor } from '../concurrency/single-flight.ts';
import { type RegistryError, registryError } from '../oci/errors.ts';
import type { ClientOrigin } from './authenticator.ts';
import { networkOf } from './limits/network-of.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
  type ProvedIdentity,
  type StandingIdentity,
} from './password-source.ts';
import { isOwnSecret } from './random-secret.ts';
import { OPEN_GATE, type SignInGate } from './sign-in-gate.ts';

/** How long somebody stays signed in by the same credentials without asking again, where nothing says otherwise. */
const BELIEVED_MS = 30_000;
/** Whoever waits for a program that hangs has his answer within 5 s. */
const ELSEWHERE_MS = 4_500;
/** Of one sign-in, with its waiting for a turn: docker gives up after 15. */
const SIGN_IN_MS = 12_000;

/** What stands before passwords, by how unknown names are taken. */
export interface SignInGates {
  readonly usual: SignInGate;
  /** Logins of other registries come by themselves: a name that nobody has is no attempt. */
  readonly tolerant: SignInGate;
}

const OPEN_GATES: SignInGates = { usual: OPEN_GATE, tolerant: OPEN_GATE };

export interface CheckTerms {
  readonly gate?: keyof SignInGates;
  /** Compares now, whoever is believed: for what lasts longer than belief. */
  readonly isFresh?: boolean | undefined;
}

/** Somebody's identity by his user name and password, from the first source that knows him. */
export class SignIn {
  readonly #sources: readonly PasswordSource[];
  readonly #gates: SignInGates;
  /** Makes what is remembered useless to others. */
  readonly #salt = randomBytes(16).toString('base64');
  readonly #believed = new LRUCache<
    string,
    { readonly key: string; readonly identity: ProvedIdentity }
  >({
    max: 10_000,
    ttl: BELIEVED_MS,
  });
  readonly #checks = new JoinedWork<PasswordVerdict>();
  #generation = 0;

  constructor(sources: readonly PasswordSource[], gates: SignInGates = OPEN_GATES) {
    this.#sources = sources;
    this.#gates = gates;
  }

  /** Whom sources were asked for is asked for again: somebody may have been locked out. */
  forget(): void {
    this.#generation += 1;
    this.#believed.clear();
  }

  /**
   * An identity, `wrong` when a source knows the user, `unknown` when none does; who was signed in just now is believed
   * for half a minute. Throws RegistryError: 403 when the password came over a connection that others can read, 429
   * when too many attempts went wrong, 503 when a source cannot be asked.
   */
  async check(
    credentials: Credentials,
    origin: ClientOrigin,
    signal: AbortSignal,
    { gate = 'usual', isFresh = false }: CheckTerms = {},
  ): Promise<PasswordVerdict> {
    requireSafe(origin);
    const { username, password } = credentials;
    const { address } = origin;
    const place = this.#hash(gate, address, username);
    const key = this.#hash(gate, address, username, password);
    const believed = this.#believed.get(place);
    if (believed?.key === key && !isFresh) return believed.identity;
    // What is believed is not counted. It must not tell at once which of many guesses is right, so that any other
    // password under the name ends it.
    this.#believed.delete(place);
    const generation = this.#generation;
    // Of one flight with those that ask the same, which ends when all of them have left.
    return await this.#checks.run(`${generation} ${key}`, signal, async (left) => {
      const verdict = await this.#attempt(credentials, address, { gate, left });
      if (typeof verdict !== 'string' && generation === this.#generation) {
        this.#believed.set(place, { key, identity: verdict });
      }
      return verdict;
    });
  }

  async #attempt(
    credentials: Credentials,
    address: string,
    { gate, left }: { readonly gate: keyof SignInGates; readonly left: AbortSignal },
  ): Promise<PasswordVerdict> {
    const over = AbortSignal.timeout(SIGN_IN_MS);
    const signal = AbortSignal.any([left, over]);
    const { username } = credentials;
    try {
      return await this.#gates[gate].attempt({ username, address }, signal, () =>
        this.#ask(
          credentials,
          { network: networkOf(address), isTolerant: gate === 'tolerant' },
          signal,
        ),
      );
    } catch (error) {
      throw over.aborted && error === over.reason ? unavailable(error) : error;
    }
  }

  /** Somebody who was signed in before, by the id of his identity, as he is today. Throws RegistryError 503. */
  async standing(id: string, signal: AbortSignal): Promise<StandingIdentity | undefined> {
    for (const source of this.#sources) {
      const standing = source.standing && (await orUnavailable(source.standing(id, signal)));
      if (standing) return standing;
    }
    return undefined;
  }

  #hash(...parts: readonly string[]): string {
    return hash('sha256', JSON.stringify([this.#salt, ...parts]));
  }

  /**
   * A source that cannot be asked hides nobody whom another one knows. It does not make guessing free either: a password
   * that is wrong for somebody who is known is wrong.
   */
  async #ask(
    credentials: Credentials,
    { network, isTolerant }: { readonly network: string; readonly isTolerant: boolean },
    signal: AbortSignal,
  ): Promise<PasswordVerdict> {
    let isKnown = false;
    let failure: unknown;
    for (const source of this.#sourcesFor(credentials, isTolerant)) {
      try {
        const verdict = await inTime(source, credentials, network, signal);
        if (typeof verdict !== 'string') return verdict;
        isKnown ||= verdict === 'wrong';
      } catch (error) {
        signal.throwIfAborted();
        failure ??= error;
      }
    }
    if (isKnown) return 'wrong';
    if (failure !== undefined) throw unavailable(failure);
    return 'unknown';
  }

  /** Logins of other registries, and secrets that this one made, are not sent anywhere. */
  #sourcesFor(credentials: Credentials, isTolerant: boolean): readonly PasswordSource[] {
    const isKept = isTolerant || isOwnSecret(credentials.password);
    const asked = isKept ? this.#sources.filter((source) => !source.isElsewhere) : this.#sources;
    const only = asked.find((source) => source.takesAlone?.(credentials));
    return only ? [only] : asked;
  }
}

/** What a source has begun it ends, or whoever leaves in time would have his guess compared for nothing. */
async function inTime(
  source: PasswordSource,
  credentials: Credentials,
  network: string,
  signal: AbortSignal,
): Promise<PasswordVerdict> {
  const over = AbortSignal.timeout(source.isElsewhere ? ELSEWHERE_MS : SIGN_IN_MS);
  const patience = AbortSignal.any([signal, over]);
  return await waitFor(source.check(credentials, patience, network), over);
}

const unavailable = (cause: unknown): RegistryError =>
  registryError('UNAVAILABLE', {
    message: 'who you are cannot be found out at present',
    headers: { 'Retry-After': '5' },
    cause,
  });

async function orUnavailable<Value>(asked: Promise<Value>): Promise<Value> {
  try {
    return await asked;
  } catch (cause) {
    throw cause instanceof IdentitySourceError ? unavailable(cause) : cause;
  }
}

/** Secrets that anybody on the way could read are refused, so that they are not sent twice. */
export function requireSafe(origin: ClientOrigin): void {
  if (origin.isSafe) return;
  throw registryError('DENIED', {
    message:
      'passwords are not taken over plain HTTP: use https (behind a proxy that ends TLS its address has to be in TRUSTED_PROXIES)',
  });
}
