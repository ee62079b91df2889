import { randomBytes } from 'node:crypto';

import { RegistryError } from '../oci/errors.ts';
import type { Users } from './users.ts';

const FIRST_ADMIN = 'admin';

/**
 * Makes an administrator with a password that nobody has chosen, when there is no user at all; undefined when there is
 * one. Of several processes that start at once one makes it. The password is known to the caller alone, and opens
 * nothing until it is changed.
 */
export async function makeFirstAdmin(
  users: Users,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly password: string } | undefined> {
  if ((await users.list(signal)).length > 0) return undefined;
  const password = randomBytes(18).toString('base64url');
  const user = { name: FIRST_ADMIN, password, isAdmin: true, mustChange: true };
  try {
    await users.add(user, signal);
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'DENIED') return undefined;
    throw error;
  }
  return { name: FIRST_ADMIN, password };
}
