import { makeFirstAdmin } from '../../shared/management/first-admin.ts';
import type { Users } from '../../shared/management/users.ts';
import { RegistryError } from '../../shared/oci/errors.ts';
import type { IdentitiesOptions } from './identities-options.ts';

/** How long Redis is waited for, where making a user takes a lease from it. */
const PATIENCE_MS = 3_000;
const RETRY_MS = 100;

/** Makes the first administrator where there is no user, and tells his password: once, and not as a line of the log. */
export async function announceFirstAdmin(
  users: Users,
  { clock, log, announce, audit, lifetime }: IdentitiesOptions,
): Promise<void> {
  const giveUpAtMs = clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    try {
      const admin = await makeFirstAdmin(users, lifetime);
      if (!admin) return;
      announce(announcement(admin));
      const subject = `user ${admin.name}, the first administrator`;
      audit?.record({ action: 'change-right', result: 'done', by: 'first-start', subject });
      return;
    } catch (error) {
      if (!(error instanceof RegistryError) || error.code !== 'UNAVAILABLE') throw error;
      if (clock.monotonicMs() >= giveUpAtMs) {
        log.warn(
          { reason: error.message },
          'there is no administrator, and none could be made: twinport user add <name> --admin',
        );
        return;
      }
      await clock.sleep(RETRY_MS, lifetime);
    }
  }
}

const announcement = ({ name, password }: { name: string; password: string }): string => `
There was no user: an administrator is made.

  User name          ${name}
  One-time password  ${password}

It is shown this once, and opens nothing before it is changed:

  twinport user passwd ${name}

(npm run --silent twinport -- user passwd ${name}, in a working copy)
`;
