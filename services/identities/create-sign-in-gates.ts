import type { SignInGate } from '../../shared/auth/sign-in-gate.ts';
import type { SignInGates } from '../../shared/auth/sign-in.ts';
import type { IdentitiesOptions } from './identities-options.ts';

/** What stands before passwords, for both ways to take names that nobody has. */
export async function createSignInGates(options: IdentitiesOptions): Promise<SignInGates> {
  return {
    usual: await createGate(options, options.countsUnknown),
    tolerant: await createGate(options, false),
  };
}

async function createGate(
  { shared, clock, audit }: IdentitiesOptions,
  countsUnknown: boolean,
): Promise<SignInGate> {
  const { SignInLimits } = await import('../../shared/auth/limits/sign-in-limits.ts');
  const limits = new SignInLimits({ ...shared, clock, countsUnknown });
  if (!audit) return limits;
  const { AuditedSignIn } = await import('../../shared/auth/audited-sign-in.ts');
  return new AuditedSignIn({ inner: limits, audit, notesUnknown: countsUnknown });
}
