import bcrypt from 'bcrypt';
import pLimit from 'p-limit';

/** bcrypt reads no byte beyond these: longer passwords would be equal to others. */
const MAX_BYTES = 72;
const COST = 12;
/** Each comparison takes a processor for a while. */
const COMPARED_AT_ONCE = 4;

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

/** `matchesPassword` for a few at once; the others wait for their turn. */
export class PasswordComparisons {
  readonly #limit = pLimit(COMPARED_AT_ONCE);

  matches(...asked: Parameters<typeof matchesPassword>): Promise<boolean> {
    return this.#limit(() => matchesPassword(...asked));
  }
}
