import type { AuditLog } from '../observability/audit-log.ts';
import { RegistryError } from '../oci/errors.ts';
import type { PasswordVerdict } from './password-source.ts';
import type { Attempt, SignInGate } from './sign-in-gate.ts';

export interface AuditedSignInOptions {
  readonly inner: SignInGate;
  readonly audit: AuditLog;
  /**
   * For logins of other registries that docker sends along by itself: those under names that nobody has, and those that
   * are refused, are no attempts and not put down.
   */
  readonly isTolerant?: boolean;
}

/**
 * Puts down who signed in, and who tried to. The name of an attempt is told where somebody has that name alone: in
 * place of one that nobody has, people have typed their passwords.
 */
export class AuditedSignIn implements SignInGate {
  readonly #inner: SignInGate;
  readonly #audit: AuditLog;
  readonly #isTolerant: boolean;

  constructor({ inner, audit, isTolerant = false }: AuditedSignInOptions) {
    this.#inner = inner;
    this.#audit = audit;
    this.#isTolerant = isTolerant;
  }

  async attempt(
    attempt: Attempt,
    signal: AbortSignal,
    check: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const { username, address } = attempt;
    const event = { action: 'sign-in', address } as const;
    try {
      const verdict = await this.#inner.attempt(attempt, signal, check);
      if (verdict === 'wrong') {
        this.#audit.record({ ...event, result: 'denied', claimedName: username, status: 401 });
      } else if (verdict === 'unknown') {
        if (!this.#isTolerant) this.#audit.record({ ...event, result: 'denied', status: 401 });
      } else {
        const { id, name } = verdict;
        this.#audit.record({ ...event, result: 'done', actor: { id, name } });
      }
      return verdict;
    } catch (error) {
      const status = error instanceof RegistryError ? error.status : 500;
      if (status !== 429 || !this.#isTolerant) {
        this.#audit.record({ ...event, result: status === 429 ? 'denied' : 'failed', status });
      }
      throw error;
    }
  }
}
