import type { HtpasswdConfig } from '../../shared/config/auth-config.ts';
import { createSignInGates } from './create-sign-in-gates.ts';
import type { IdentitiesOptions, OpenIdentities } from './identities-options.ts';
import { openOwnTokens } from './open-own-tokens.ts';

/** Whoever has a password in the file may do everything. Rejects with a reason that can be shown. */
export async function openHtpasswd(
  auth: HtpasswdConfig,
  options: IdentitiesOptions,
): Promise<OpenIdentities> {
  const [{ BasicAuthenticator }, { HtpasswdSource }, { SignIn }, { SignedInPolicy }] =
    await Promise.all([
      import('../../shared/auth/basic-authenticator.ts'),
      import('../../shared/auth/htpasswd/htpasswd-source.ts'),
      import('../../shared/auth/sign-in.ts'),
      import('../../shared/auth/signed-in-policy.ts'),
    ]);
  const { ClientOrigins } = await import('../../shared/http/client-origin.ts');
  const { clock, log, lifetime } = options;
  const file = auth.htpasswdFile;
  const source = new HtpasswdSource({ file, clock, log, onChange: () => signIn.forget() });
  const signIn = new SignIn([source], await createSignInGates(options));
  await source.open();
  void source.run(lifetime);
  const origins = new ClientOrigins(auth);
  const authenticator = new BasicAuthenticator(signIn, auth.basicRealm);
  return {
    access: new SignedInPolicy(auth.isPullPublic),
    identities: { authenticator, origins },
    tokens: auth.isPullPublic
      ? {
          ...(await openOwnTokens(auth.tokens, signIn, options)),
          basicRealm: auth.basicRealm,
          origins,
        }
      : undefined,
  };
}
