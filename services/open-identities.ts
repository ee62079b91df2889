import { type AccessPolicy, OPEN_ACCESS } from '../shared/auth/access.ts';
import type { SignInGate } from '../shared/auth/sign-in-gate.ts';
import type { AuthConfig, HtpasswdConfig } from '../shared/config/auth-config.ts';
import type { Identities } from '../shared/http/admission.ts';
import type { Leases, SharedHints } from '../shared/index/ports.ts';
import type { Clock } from '../shared/lifecycle/clock.ts';
import type { AuditLog } from '../shared/observability/audit-log.ts';
import type { Log } from '../shared/observability/observer.ts';

/** Who may do what, as the configuration says. */
export interface OpenIdentities {
  readonly access: AccessPolicy;
  /** Undefined: everybody is anonymous. */
  readonly identities: Identities | undefined;
}

export interface IdentitiesOptions {
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

/** Opens the sources of identities. Rejects with a reason that can be shown when one of them cannot be used. */
export async function openIdentities(
  auth: AuthConfig,
  options: IdentitiesOptions,
): Promise<OpenIdentities> {
  if (auth.mode === 'none') return { access: OPEN_ACCESS, identities: undefined };
  return await openHtpasswd(auth, options);
}

/** Loads what it needs alone: a registry without identities has no use for it. */
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
  const source = new HtpasswdSource({
    file: auth.htpasswdFile,
    clock,
    log,
    onChange: () => signIn.forget(),
  });
  const signIn = new SignIn([source], await createGate(options));
  await source.open();
  void source.run(lifetime);
  return {
    access: new SignedInPolicy(auth.isPullPublic),
    identities: {
      authenticator: new BasicAuthenticator(signIn, auth.basicRealm),
      origins: new ClientOrigins(auth),
    },
  };
}

/** What stands before every password. */
async function createGate(options: IdentitiesOptions): Promise<SignInGate> {
  const { SignInLimits } = await import('../shared/auth/limits/sign-in-limits.ts');
  const { shared, clock, countsUnknown, audit } = options;
  const limits = new SignInLimits({ ...shared, clock, countsUnknown });
  if (!audit) return limits;
  const { AuditedSignIn } = await import('../shared/auth/audited-sign-in.ts');
  return new AuditedSignIn({ inner: limits, audit, notesUnknown: countsUnknown });
}
