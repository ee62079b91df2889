import type { ClientOrigin } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import { networkOf } from '../auth/limits/network-of.ts';
import type { ComparisonTurn, PasswordComparisons } from '../auth/password-hash.ts';
import type { Credentials, PasswordVerdict } from '../auth/password-source.ts';
import { requireSafe } from '../auth/sign-in.ts';
import type { SignInGate } from '../auth/sign-in-gate.ts';
import { registryError } from '../oci/errors.ts';
import type { UserRecord, Users } from './users.ts';

export interface PasswordChangeDependencies {
  readonly users: Pick<Users, 'find' | 'setPassword'>;
  /** Shared by all that compare passwords. */
  readonly comparisons: PasswordComparisons;
  /** As it stands before every other password. */
  readonly gate: SignInGate;
  /** Called when a password was changed: who was signed in by the old one is asked again. */
  readonly onChange: () => void;
}

/** People of this registry change their passwords: by the old one, also where that opens nothing else. */
export class PasswordChange {
  readonly #deps: PasswordChangeDependencies;

  constructor(deps: PasswordChangeDependencies) {
    this.#deps = deps;
  }

  /** Throws RegistryError: 401 as for a sign-in, 429, and 400 for a new password that may not be. */
  async change(
    credentials: Credentials,
    newPassword: string,
    origin: ClientOrigin,
    signal: AbortSignal,
  ): Promise<Identity> {
    requireSafe(origin);
    const { username, password } = credentials;
    const { address } = origin;
    const verdict = await this.#deps.gate.attempt({ username, address }, signal, () =>
      this.#check(credentials, { network: networkOf(address), signal }),
    );
    if (typeof verdict === 'string') throw registryError('UNAUTHORIZED');
    if (newPassword === password) {
      throw registryError('DENIED', { status: 400, message: 'the new password is the old one' });
    }
    await this.#deps.users.setPassword(verdict.name, newPassword, { mustChange: false }, signal);
    this.#deps.onChange();
    return verdict;
  }

  async #check(
    { username, password }: Credentials,
    turn: ComparisonTurn,
  ): Promise<PasswordVerdict> {
    const user = await this.#deps.users.find(username, turn.signal);
    const comparison = { password, hash: user?.passwordHash };
    const isRight = await this.#deps.comparisons.matches(comparison, turn);
    if (!user) return 'unknown';
    return isRight && user.disabled !== true ? identityOf(user) : 'wrong';
  }
}

const identityOf = ({ name, isAdmin }: UserRecord): Identity => ({
  kind: 'user',
  id: `local:${name}`,
  name,
  groups: [],
  isAdmin,
});
