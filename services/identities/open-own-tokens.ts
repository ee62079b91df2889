import type { SignIn } from '../../shared/auth/sign-in.ts';
import type { RefreshTokens } from '../../shared/auth/tokens/refresh-tokens.ts';
import type { TokenConfig } from '../../shared/config/auth-config.ts';
import type { SharedHints } from '../../shared/index/ports.ts';
import type { IdentitiesOptions } from './identities-options.ts';
import type { TokenParts } from './token-parts.ts';

/** What tokens of our own are made with. Rejects with a reason that can be shown when the key file cannot be used. */
export async function openOwnTokens(
  config: TokenConfig,
  signIn: SignIn,
  { role, records, clock, log, lifetime, shared }: IdentitiesOptions,
): Promise<Omit<TokenParts, 'basicRealm' | 'origins'>> {
  const [{ KeyAgreement }, { KeyFile }, { StoredKeys }, { RefreshTokens }] = await Promise.all([
    import('../../shared/auth/tokens/key-agreement.ts'),
    import('../../shared/auth/tokens/key-file.ts'),
    import('../../shared/auth/tokens/stored-keys.ts'),
    import('../../shared/auth/tokens/refresh-tokens.ts'),
  ]);
  const keys =
    config.keyFile === undefined
      ? new StoredKeys(records, clock, lifetime)
      : await KeyFile.open(config.keyFile, clock, log);
  const refreshTokens = new RefreshTokens({
    records,
    clock,
    lifeSeconds: config.refreshSeconds,
    findStanding: (id, signal) => signIn.standing(id, signal),
  });
  void removeLapsed(refreshTokens, shared.hints, { clock, log, lifetime });
  const isOwnKey = config.keyFile !== undefined;
  const agreement = new KeyAgreement({ keys, role, isOwnKey, records, clock, log });
  void agreement.run(lifetime);
  return { config, keys, signIn, refreshTokens, agreement };
}

const HOUR_MS = 3600_000;

const REMOVED_HINT = 'lapsed-logins-removed';

/** Every hour, until the signal aborts; one process for all that share the hints. */
async function removeLapsed(
  tokens: RefreshTokens,
  hints: SharedHints,
  { clock, log, lifetime }: Pick<IdentitiesOptions, 'clock' | 'log' | 'lifetime'>,
): Promise<void> {
  for (;;) {
    await clock.sleep(HOUR_MS, lifetime).catch(() => undefined);
    if (lifetime.aborted) return;
    if ((await hints.get(REMOVED_HINT)) !== undefined) continue;
    await hints.put(REMOVED_HINT, '1', HOUR_MS / 2);
    await tokens.removeLapsed(lifetime).catch((error: unknown) => {
      log.warn({ err: error }, 'sign-ins that have lapsed could not be removed');
    });
  }
}
