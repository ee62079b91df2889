import { RegistryError } from '../../oci/errors.ts';
import { unending } from '../../storage/testing/contract-support.ts';
import type { SignInLimits } from '../limits/sign-in-limits.ts';
import type { PasswordVerdict } from '../password-source.ts';
import type { Attempt } from '../sign-in-gate.ts';

/** The verdict of a check that was allowed, or how many seconds the client is told to wait. */
export async function trySignIn(
  limits: SignInLimits,
  attempt: Attempt,
  check: () => PasswordVerdict,
): Promise<PasswordVerdict | number> {
  try {
    return await limits.attempt(attempt, unending, () => Promise.resolve(check()));
  } catch (error) {
    if (!(error instanceof RegistryError) || error.status !== 429) throw error;
    return Number(error.headers['Retry-After']);
  }
}
