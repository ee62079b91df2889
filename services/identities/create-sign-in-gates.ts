import type { SignInGate } from '../../shared/auth/sign-in-gate.ts';
import type { SignInGates } from '../../shared/auth/sign-in.ts';
import type { IdentitiesOptions } from './identities-options.ts';

/** What stands before passwords, for those that people mean and for those that docker sends along. */
export async function createSignInGates(options: IdentitiesOptions): Promise<SignInGates> {
  return {
    usual: await createGate(options, false),
    tolerant: await createGate(options, true),
  };
}

async function createGate(
  { shared, clock, audit }: IdentitiesOptions,
  isTolerant: boolean,
): Promise<SignInGate> {
  const { SignInLimits } = await import('../../shared/auth/limits/sign-in-limits.ts');
  const limits = new SignInLimits({ ...shared, clock, isTolerant });
  if (!audit) return limits;
  const { AuditedSignIn } = await import('../../shared/auth/audited-sign-in.ts');
  return new AuditedSignIn({ inner: limits, audit, isTolerant });
}
