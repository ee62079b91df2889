import type { ManagedIdentities } from '../../../shared/api/management-api.ts';
import { BasicAuthenticator } from '../../../shared/auth/basic-authenticator.ts';
import { PasswordComparisons } from '../../../shared/auth/password-hash.ts';
import { SignIn } from '../../../shared/auth/sign-in.ts';
import { OPEN_GATE } from '../../../shared/auth/sign-in-gate.ts';
import type { PushConfig } from '../../../shared/config/config.ts';
import { markStore } from '../../../shared/content/store-probe.ts';
import type { TempStore } from '../../../shared/content/testing/temp-store.ts';
import { ClientOrigins } from '../../../shared/http/client-origin.ts';
import type { TestAnswer } from '../../../shared/http/testing/http-client.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import { CliPasswordSource } from '../../../shared/management/cli-password-source.ts';
import { CliPasswords } from '../../../shared/management/cli-passwords.ts';
import { LocalUsers } from '../../../shared/management/local-users.ts';
import { PasswordChange } from '../../../shared/management/password-change.ts';
import { People } from '../../../shared/management/people.ts';
import { ProjectAdministration } from '../../../shared/management/project-administration.ts';
import { RobotAccounts } from '../../../shared/management/robot-accounts.ts';
import { Robots } from '../../../shared/management/robots.ts';
import { Sessions } from '../../../shared/management/sessions.ts';
import { folderManagement } from '../../../shared/management/testing/folder-management.ts';
import { Users } from '../../../shared/management/users.ts';
import type { AuditEvent } from '../../../shared/observability/audit-log.ts';
import { unending } from '../../../shared/storage/testing/contract-support.ts';
import type { Platform } from '../../platform/platform.ts';
import { startPush, type TestPush } from './start-push.ts';

export const PASSWORD = 'correct horse';
/** As browsers reach the pages. */
export const PAGES = 'https://registry.example';

type Oidc = Pick<
  NonNullable<NonNullable<ManagedIdentities['web']>['oidc']>['signIn'],
  'begin' | 'finish'
>;

export interface ManagedPush extends TestPush {
  readonly users: Users;
  readonly robots: Robots;
  readonly people: People;
  readonly sessions: Sessions;
  readonly projects: ProjectAdministration;
  readonly audited: AuditEvent[];
  /** Credentials by name: those of users, and whatever a test puts there. */
  readonly credentials: Map<string, string>;
  /** A request of the API by somebody. */
  call(who: string, method: string, path: string, body?: unknown): Promise<ApiAnswer>;
}

interface ApiAnswer extends TestAnswer {
  /** The body; undefined where there is none. */
  readonly json: unknown;
}

/** A push service with the users root (an administrator), alice, bob, carol and dave, and its management API. */
export async function startManagedPush(
  oidc?: Oidc,
  config: Partial<PushConfig> = {},
): Promise<ManagedPush> {
  const audited: AuditEvent[] = [];
  const made: { parts?: Parts } = {};
  const push = await startPush({
    config,
    audit: { record: (event) => void audited.push(event) },
    over: async (store) => {
      await markStore(store.records, unending);
      made.parts = createParts(store, oidc);
      return made.parts.platform;
    },
  });
  const { parts } = made;
  if (!parts) throw new Error('the push service asked for no rights');
  const credentials = new Map<string, string>();
  for (const name of ['root', 'alice', 'bob', 'carol', 'dave']) {
    const user = { name, password: PASSWORD, isAdmin: name === 'root', mustChange: false };
    await parts.users.add(user, unending);
    credentials.set(name, `${name}:${PASSWORD}`);
  }
  const call = async (
    who: string,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<ApiAnswer> => {
    const pair = credentials.get(who);
    const answer = await push.send(path, {
      method,
      headers: {
        ...(pair !== undefined && {
          authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
        }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = answer.body.toString();
    return { ...answer, json: text === '' ? undefined : (JSON.parse(text) as unknown) };
  };
  return { ...push, ...parts, audited, credentials, call };
}

type Parts = ReturnType<typeof createParts>;

function createParts({ folder, records, blobs, index }: TempStore, oidc: Oidc | undefined) {
  const deps = folderManagement(folder, records);
  const users = new Users(deps);
  const robots = new Robots(deps);
  const people = new People(records, systemClock);
  const sessions = new Sessions(records, systemClock);
  const accounts = new RobotAccounts({ robots, clock: systemClock, shutdown: unending });
  const cliPasswords = new CliPasswords(records, systemClock);
  const locals = new LocalUsers(users);
  const findPerson = async (id: string, signal: AbortSignal) => {
    const local = await locals.standing(id, signal);
    const identity = local?.identity ?? (await people.find(id, signal));
    return identity && { identity, stamp: local?.stamp ?? '' };
  };
  const cli = new CliPasswordSource({
    passwords: cliPasswords,
    findPerson: async (id, signal) => (await findPerson(id, signal))?.identity,
    clock: systemClock,
    shutdown: unending,
  });
  const signIn = new SignIn([cli, locals, accounts]);
  const projects = new ProjectAdministration({
    ...deps,
    index,
    blobs,
    robots,
    upstreams: () => Promise.resolve([]),
    rules: { isDottedReserved: true },
  });
  const onAccountChange = (): void => signIn.forget();
  const platform: Required<Pick<Platform, 'identities' | 'projectRights' | 'management'>> = {
    identities: {
      authenticator: new BasicAuthenticator(signIn, 'test'),
      origins: new ClientOrigins({ trustedProxies: [], allowsInsecure: true }),
    },
    projectRights: {
      creation: 'everyone',
      visibility: 'private',
      robotRights: (id, signal) => accounts.rightsOf(id, signal),
    },
    management: {
      administration: projects,
      creation: 'everyone',
      identities: {
        isByProjects: true,
        ...{ users, people, robots, cliPasswords, onAccountChange },
        passwordChange: new PasswordChange({
          ...{ users, gate: OPEN_GATE, onChange: onAccountChange },
          comparisons: new PasswordComparisons(),
        }),
        web: {
          ...{ sessions, findPerson, signIn },
          pages: { origin: PAGES, isEncrypted: true },
          oidc: oidc && { signIn: oidc, people },
        },
      },
    },
  };
  return { platform, users, robots, people, sessions, projects };
}
