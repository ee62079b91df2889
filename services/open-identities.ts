import { type AccessPolicy, OPEN_ACCESS } from '../shared/auth/access.ts';
import type { AuthConfig, HtpasswdConfig } from '../shared/config/auth-config.ts';
import type { Identities } from '../shared/http/admission.ts';
import type { Clock } from '../shared/lifecycle/clock.ts';
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
  { clock, log, lifetime }: IdentitiesOptions,
): Promise<OpenIdentities> {
  const [{ BasicAuthenticator }, { HtpasswdSource }, { SignIn }, { SignedInPolicy }] =
    await Promise.all([
      import('../shared/auth/basic-authenticator.ts'),
      import('../shared/auth/htpasswd/htpasswd-source.ts'),
      import('../shared/auth/sign-in.ts'),
      import('../shared/auth/signed-in-policy.ts'),
    ]);
  const { ClientOrigins } = await import('../shared/http/client-origin.ts');
  const source = new HtpasswdSource({
    file: auth.htpasswdFile,
    clock,
    log,
    onChange: () => signIn.forget(),
  });
  const signIn = new SignIn([source]);
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
