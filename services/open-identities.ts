import { type AccessPolicy, OPEN_ACCESS } from '../shared/auth/access.ts';
import type { AuthConfig, HtpasswdConfig, TokenConfig } from '../shared/config/auth-config.ts';
import type { Identities } from '../shared/http/admission.ts';
import type { Leases, SharedHints } from '../shared/index/ports.ts';
import type { Clock } from '../shared/lifecycle/clock.ts';
import type { Log } from '../shared/observability/observer.ts';
import type { RecordStore } from '../shared/storage/record-store.ts';
import type { SignInGate } from '../shared/auth/sign-in-gate.ts';
import type { SignIn } from '../shared/auth/sign-in.ts';
import type { AuditLog } from '../shared/observability/audit-log.ts';
import type { RefreshTokens } from '../shared/auth/tokens/refresh-tokens.ts';
import type { TokenParts } from './token-parts.ts';

/** Who may do what, as the configuration says. */
export interface OpenIdentities {
  readonly access: AccessPolicy;
  /** Undefined: everybody is anonymous. */
  readonly identities: Identities | undefined;
  /** Set where clients are asked for tokens of our own. */
  readonly tokens: TokenParts | undefined;
}

export interface IdentitiesOptions {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Among all processes over the store where that is possible: what is known of those who guess passwords. */
  readonly shared: { readonly hints: SharedHints; readonly leases: Leases };
  /** Undefined: nobody keeps a record. */
  readonly audit: AuditLog | undefined;
  /** False for a mirror, which is sent logins of other registries: names that nobody has are no attack there. */
  readonly countsUnknown: boolean;
  /** Ends what runs beside requests. */
  readonly lifetime: AbortSignal;
}

/**
 * Opens the sources of identities. Rejects with a reason that can be shown when one of them cannot be used. Loads what is
 * needed alone: a registry without identities has no use for it.
 */
export async function openIdentities(
  auth: AuthConfig,
  options: IdentitiesOptions,
): Promise<OpenIdentities> {
  if (auth.mode === 'none') {
    return { access: OPEN_ACCESS, identities: undefined, tokens: undefined };
  }
  return await openHtpasswd(auth, options);
}

async function openHtpasswd(
  auth: HtpasswdConfig,
  options: IdentitiesOptions,
): Promise<OpenIdentities> {
  const [{ BasicAuthenticator }, { HtpasswdSource }, { SignIn }, { SignedInPolicy }] =
    await Promise.all([
      import('../shared/auth/basic-authenticator.ts'),
      import('../shared/auth/htpasswd/htpasswd-source.ts'),
      import('../shared/auth/sign-in.ts'),
      import('../shared/auth/signed-in-policy.ts'),
    ]);
  const { ClientOrigins } = await import('../shared/http/client-origin.ts');
  const { clock, log, lifetime } = options;
  const file = auth.htpasswdFile;
  const source = new HtpasswdSource({ file, clock, log, onChange: () => signIn.forget() });
  const signIn = new SignIn([source], {
    usual: await createGate(options, options.countsUnknown),
    tolerant: await createGate(options, false),
  });
  await source.open();
  void source.run(lifetime);
  const origins = new ClientOrigins(auth);
  const authenticator = new BasicAuthenticator(signIn, auth.basicRealm);
  return {
    access: new SignedInPolicy(auth.isPullPublic),
    identities: { authenticator, origins },
    tokens: auth.isPullPublic
      ? {
          ...(await openTokens(auth.tokens, signIn, options)),
          basicRealm: auth.basicRealm,
          origins,
        }
      : undefined,
  };
}

/** What stands before every password. */
async function createGate(
  { shared, clock, audit }: IdentitiesOptions,
  countsUnknown: boolean,
): Promise<SignInGate> {
  const { SignInLimits } = await import('../shared/auth/limits/sign-in-limits.ts');
  const limits = new SignInLimits({ ...shared, clock, countsUnknown });
  if (!audit) return limits;
  const { AuditedSignIn } = await import('../shared/auth/audited-sign-in.ts');
  return new AuditedSignIn({ inner: limits, audit, notesUnknown: countsUnknown });
}

async function openTokens(
  config: TokenConfig,
  signIn: SignIn,
  { records, clock, log, lifetime }: IdentitiesOptions,
): Promise<Omit<TokenParts, 'basicRealm' | 'origins'>> {
  const [{ KeyFile }, { StoredKeys }, { RefreshTokens }] = await Promise.all([
    import('../shared/auth/tokens/key-file.ts'),
    import('../shared/auth/tokens/stored-keys.ts'),
    import('../shared/auth/tokens/refresh-tokens.ts'),
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
  void removeLapsed(refreshTokens, clock, log, lifetime);
  return { config, keys, signIn, refreshTokens };
}

const HOUR_MS = 3600_000;

/** Every hour, until the signal aborts. */
async function removeLapsed(
  tokens: RefreshTokens,
  clock: Clock,
  log: Log,
  lifetime: AbortSignal,
): Promise<void> {
  for (;;) {
    await clock.sleep(HOUR_MS, lifetime).catch(() => undefined);
    if (lifetime.aborted) return;
    await tokens.removeLapsed(lifetime).catch((error: unknown) => {
      log.warn({ err: error }, 'sign-ins that have lapsed could not be removed');
    });
  }
}
