import { availableParallelism } from 'node:os';

import bcrypt from 'bcrypt';

import { FairTurns } from '../concurrency/fair-turns.ts';

/** bcrypt reads no byte beyond these: longer passwords would be equal to others. */
const MAX_BYTES = 72;
const COST = 12;
/** Each comparison takes a processor for a quarter of a second, and the pool that does them has other work. */
const COMPARED_AT_ONCE = 4;
/** More of them than can be done while somebody waits are turned away. */
const WAITING = { waiting: 512, waitingEach: 128 } as const;

/** What a password that is to be kept must not be; undefined when it may. Completes "the password …". */
export function passwordProblem(password: string): string | undefined {
  if (password === '') return 'must not be empty';
  if (password.includes('\0')) return 'must not contain a NUL character';
  if (Buffer.byteLength(password) > MAX_BYTES) return `must not be longer than ${MAX_BYTES} bytes`;
  return undefined;
}

/** The bcrypt hash to keep. Throws RangeError for what `passwordProblem` refuses. */
export async function hashPassword(password: string): Promise<string> {
  const problem = passwordProblem(password);
  if (problem !== undefined) throw new RangeError(`the password ${problem}`);
  return await bcrypt.hash(password, COST);
}

/** Of a random password that nobody knows. */
const NOBODY = '$2b$12$GFU5i26kiQkvJAC7dWeUOOfk58QICIB8Ce5V8YY6W9aIsOnvDmb.6';

/**
 * Compares with the kept hash; without one it does the same work and says false, so that nobody learns from the time
 * whether a user exists. `pretended` is a hash whose cost that work should have, for sources with other costs.
 */
export async function matchesPassword(
  password: string,
  hash: string | undefined,
  pretended: string = NOBODY,
): Promise<boolean> {
  const isMatch = await bcrypt.compare(password, comparable(hash ?? pretended));
  return isMatch && hash !== undefined && passwordProblem(password) === undefined;
}

/** What htpasswd of Apache and PHP write as `$2y$` is the same algorithm. */
const comparable = (hash: string): string => hash.replace(/^\$2y\$/, '$2b$');

/** A password to compare, as `matchesPassword` takes it. */
export interface Comparison {
  readonly password: string;
  readonly hash: string | undefined;
  readonly pretended?: string | undefined;
}

/** For whom a password is compared. */
export interface ComparisonTurn {
  /** Networks take turns: many guesses from one hold up no other. */
  readonly network: string;
  readonly signal: AbortSignal;
}

/** Compares a few passwords at once, no more than there are processors; the others wait for their turn. */
export class PasswordComparisons {
  readonly #turns = new FairTurns({
    running: Math.min(COMPARED_AT_ONCE, availableParallelism()),
    ...WAITING,
  });

  /** Throws NoTurnError when too many wait, and the signal's reason when it aborts before the comparison begins. */
  matches(
    { password, hash, pretended }: Comparison,
    { network, signal }: ComparisonTurn,
  ): Promise<boolean> {
    return this.#turns.run(network, signal, () => matchesPassword(password, hash, pretended));
  }
}
