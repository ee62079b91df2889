import { readFile } from 'node:fs/promises';

import type { ManagedIdentities } from '../../shared/api/management-api.ts';
import { publicOrigin } from '../../shared/api/session-cookies.ts';
import { BasicAuthenticator } from '../../shared/auth/basic-authenticator.ts';
import type { HtpasswdSource } from '../../shared/auth/htpasswd/htpasswd-source.ts';
import { PasswordComparisons } from '../../shared/auth/password-hash.ts';
import type { PasswordSource, StandingIdentity } from '../../shared/auth/password-source.ts';
import { SignIn } from '../../shared/auth/sign-in.ts';
import { SignedInPolicy } from '../../shared/auth/signed-in-policy.ts';
import type { TokenModeConfig } from '../../shared/config/auth-config.ts';
import type { LdapSettings } from '../../shared/config/ldap-settings.ts';
import type { OidcSettings } from '../../shared/config/oidc-settings.ts';
import { ClientOrigins } from '../../shared/http/client-origin.ts';
import { CliPasswordSource } from '../../shared/management/cli-password-source.ts';
import { CliPasswords } from '../../shared/management/cli-passwords.ts';
import { LocalUsers } from '../../shared/management/local-users.ts';
import { PasswordChange } from '../../shared/management/password-change.ts';
import { People } from '../../shared/management/people.ts';
import { RobotAccounts } from '../../shared/management/robot-accounts.ts';
import { Robots } from '../../shared/management/robots.ts';
import { Sessions } from '../../shared/management/sessions.ts';
import { Users } from '../../shared/management/users.ts';
import { announceFirstAdmin } from './announce-first-admin.ts';
import { createSignInGates } from './create-sign-in-gates.ts';
import type { IdentitiesOptions, OpenIdentities } from './identities-options.ts';
import { openOwnTokens } from './open-own-tokens.ts';

/**
 * Everybody may do what projects say. Makes the first administrator where there is no user. Rejects with a reason that
 * can be shown when a source of identities cannot be used.
 */
export async function openTokenMode(
  auth: TokenModeConfig,
  options: IdentitiesOptions,
): Promise<OpenIdentities> {
  const { records, exclusive, shared, clock, lifetime } = options;
  const deps = { records, exclusive, leases: shared.leases, clock };
  const users = new Users(deps);
  const comparisons = new PasswordComparisons();
  const local = new LocalUsers(users, comparisons);
  const robotRecords = new Robots(deps);
  const robots = new RobotAccounts({ robots: robotRecords, clock, shutdown: lifetime });
  const people = new People(records, clock);
  const htpasswd = await openFile(auth.htpasswdFile, comparisons, () => signIn.forget(), options);
  const findStanding = (id: string, signal: AbortSignal): Promise<StandingIdentity | undefined> =>
    findPerson(id, { local, htpasswd, people, isVouchedFor: vouchers(auth) }, signal);
  const cliRecords = new CliPasswords(records, clock);
  const cliPasswords = new CliPasswordSource({
    passwords: cliRecords,
    findPerson: async (id, signal) => (await findStanding(id, signal))?.identity,
    clock,
    shutdown: lifetime,
  });
  const gates = await createSignInGates(options);
  const signIn = new SignIn(
    [
      robots,
      cliPasswords,
      local,
      ...(htpasswd ? [htpasswd] : []),
      // What others answer comes last: nobody waits for it whom this registry knows.
      ...(await openWorkloads(auth, options)),
      ...(await openDirectory(auth.ldap, people, options)),
    ],
    gates,
  );
  await announceFirstAdmin(users, options);
  const origins = new ClientOrigins(auth);
  const { basicRealm } = auth;
  return {
    // Each role decides by projects in place of it.
    access: new SignedInPolicy(false),
    identities: { authenticator: new BasicAuthenticator(signIn, basicRealm), origins },
    tokens: { ...(await openOwnTokens(auth.tokens, signIn, options)), basicRealm, origins },
    projectRights: {
      creation: auth.projectCreation,
      visibility: auth.projectVisibility,
      robotRights: (id, signal) => robots.rightsOf(id, signal),
    },
    managed: {
      isByProjects: true,
      ...{ users, people, robots: robotRecords, cliPasswords: cliRecords },
      passwordChange: new PasswordChange({
        ...{ users, comparisons, gate: gates.usual },
        onChange: () => signIn.forget(),
      }),
      web: await openWeb(
        { sessions: new Sessions(records, clock), signIn, findPerson: findStanding },
        { oidc: auth.oidc, people },
        options,
      ),
      onAccountChange: () => signIn.forget(),
    },
  };
}

type Web = NonNullable<ManagedIdentities['web']>;

/** Undefined where browsers do not reach this service by an address that is safe for them. */
async function openWeb(
  sessions: Omit<Web, 'pages' | 'oidc'>,
  { oidc, people }: { readonly oidc: OidcSettings | undefined; readonly people: People },
  { publicUrl, clock }: IdentitiesOptions,
): Promise<Web | undefined> {
  const pages = publicUrl === undefined ? undefined : publicOrigin(publicUrl);
  if (!pages) return undefined;
  if (!oidc) return { ...sessions, pages, oidc: undefined };
  const [{ OidcSignIn }, { signInStateKey }] = await Promise.all([
    import('../../shared/auth/oidc/oidc-sign-in.ts'),
    import('../../shared/auth/oidc/sign-in-state.ts'),
  ]);
  const callbackUrl = `${pages.origin}/auth/oidc/callback`;
  const stateKey = signInStateKey(oidc.clientSecret);
  const signIn = new OidcSignIn({ ...oidc, callbackUrl }, { clock, stateKey });
  return { ...sessions, pages, oidc: { signIn, people } };
}

async function openFile(
  file: string | undefined,
  comparisons: PasswordComparisons,
  onChange: () => void,
  { clock, log, lifetime }: IdentitiesOptions,
): Promise<HtpasswdSource | undefined> {
  if (file === undefined) return undefined;
  const { HtpasswdSource } = await import('../../shared/auth/htpasswd/htpasswd-source.ts');
  const source = new HtpasswdSource({ file, clock, log, onChange, comparisons });
  await source.open();
  void source.run(lifetime);
  return source;
}

async function openWorkloads(
  { workloadIssuers }: TokenModeConfig,
  { clock }: IdentitiesOptions,
): Promise<PasswordSource[]> {
  if (workloadIssuers.length === 0) return [];
  const { WorkloadIdentity } = await import('../../shared/auth/workload/workload-identity.ts');
  return [new WorkloadIdentity(workloadIssuers, clock)];
}

async function openDirectory(
  settings: LdapSettings | undefined,
  people: People,
  { clock }: IdentitiesOptions,
): Promise<PasswordSource[]> {
  if (!settings) return [];
  const [{ LdapSource }, { VouchedSource }] = await Promise.all([
    import('../../shared/auth/ldap/ldap-source.ts'),
    import('../../shared/management/vouched-source.ts'),
  ]);
  const { caFile, ...config } = settings;
  const certificateAuthorities = caFile === undefined ? undefined : await readAuthorities(caFile);
  return [new VouchedSource(new LdapSource({ ...config, certificateAuthorities }, clock), people)];
}

async function readAuthorities(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Error(`AUTH_LDAP_CA_FILE: ${file} cannot be read`, { cause });
  }
}

interface Registers {
  readonly local: LocalUsers;
  readonly htpasswd: HtpasswdSource | undefined;
  readonly people: People;
  readonly isVouchedFor: (id: string) => boolean;
}

/** By the sources of identities that are configured now: people of one that is no more are nobody. */
const vouchers =
  ({ ldap, oidc }: TokenModeConfig) =>
  (id: string): boolean =>
    (ldap !== undefined && id.startsWith('ldap:')) ||
    (oidc !== undefined && id.startsWith(`oidc:${oidc.issuer}#`));

/** Somebody as he is today. */
async function findPerson(
  id: string,
  { local, htpasswd, people, isVouchedFor }: Registers,
  signal: AbortSignal,
): Promise<StandingIdentity | undefined> {
  const standing = (await local.standing(id, signal)) ?? (await htpasswd?.standing(id));
  if (standing || !isVouchedFor(id)) return standing;
  const identity = await people.find(id, signal);
  return identity && { identity, stamp: '' };
}
