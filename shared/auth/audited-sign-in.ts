import type { AuditLog } from '../observability/audit-log.ts';
import { RegistryError } from '../oci/errors.ts';
import type { PasswordVerdict } from './password-source.ts';
import type { Attempt, SignInGate } from './sign-in-gate.ts';

export interface AuditedSignInOptions {
  readonly inner: SignInGate;
  readonly audit: AuditLog;
  /** Whether attempts under names that nobody has are put down; a mirror is sent logins of other registries. */
  readonly notesUnknown: boolean;
}

/**
 * Puts down who signed in, and who tried to. The name of an attempt is told where somebody has that name alone: in
 * place of one that nobody has, people have typed their passwords.
 */
export class AuditedSignIn implements SignInGate {
  readonly #inner: SignInGate;
  readonly #audit: AuditLog;
  readonly #notesUnknown: boolean;

  constructor({ inner, audit, notesUnknown }: AuditedSignInOptions) {
    this.#inner = inner;
    this.#audit = audit;
    this.#notesUnknown = notesUnknown;
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
        if (this.#notesUnknown) this.#audit.record({ ...event, result: 'denied', status: 401 });
      } else {
        const { id, name } = verdict;
        this.#audit.record({ ...event, result: 'done', actor: { id, name } });
      }
      return verdict;
    } catch (error) {
      const status = error instanceof RegistryError ? error.status : 500;
      this.#audit.record({ ...event, result: status === 429 ? 'denied' : 'failed', status });
      throw error;
    }
  }
}
