import type { Identity } from '../../../shared/auth/identity.ts';
import { createStoreIndex } from '../../../shared/index/store/create-store-index.ts';
import type { ProjectRecord } from '../../../shared/index/ports.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import { CliPasswords } from '../../../shared/management/cli-passwords.ts';
import { LocalUsers } from '../../../shared/management/local-users.ts';
import { People } from '../../../shared/management/people.ts';
import { Robots } from '../../../shared/management/robots.ts';
import { Sessions } from '../../../shared/management/sessions.ts';
import { folderManagement } from '../../../shared/management/testing/folder-management.ts';
import { Users } from '../../../shared/management/users.ts';
import { FilesystemRecordStore } from '../../../shared/storage/filesystem/filesystem-record-store.ts';
import { unending } from '../../../shared/storage/testing/contract-support.ts';
import { storeCachedCopy } from './cached-copy.ts';

/** Mistakes are counted by user name: those who make them are so many, and take turns. */
export const TURNS = 24;

export const PASSWORD = 'correct horse battery';
const CREATED = '2026-01-01T00:00:00.000Z';
const ROLES = {
  guest: 'guest',
  developer: 'developer',
  maintainer: 'maintainer',
  keeper: 'admin',
} as const;

/** The provider that people of the model sign in at. Nobody asks it anything: they have been there. */
export const ISSUER = 'https://login.example';

/** Groups of people of the provider, as it told them at each of their sign-ins; in the model by these names. */
const OF_PROVIDER: Readonly<Record<string, readonly (readonly string[])[]>> = {
  grouped: [['oidc:builders']],
  twofold: [['oidc:readers', 'oidc:owners']],
  // A guest of his own.
  both: [['oidc:builders']],
  // Groups that are called like others: of the directory, with something before it or behind it.
  namesake: [['oidc:ldap:owners', 'oidc:/owners', 'oidc:owners2', 'owners']],
  left: [['oidc:owners'], []],
};
const idAtProvider = (name: string): string => `oidc:${ISSUER}#${name}`;

/** How people of the model show who they are. */
export interface Accounts {
  /** User name and password, by the name in the model; of those who take turns with a number behind it. */
  get(who: string): readonly [username: string, password: string] | undefined;
  /** The token of a session with a browser. */
  session(who: string): string | undefined;
}
type Passwords = Map<string, readonly [string, string]>;

/** Which account of those who take turns has the turn. */
export const inTurn = (kind: string, serial: number): string => `${kind}-${serial % TURNS}`;

/** Where projects of the model cache from. */
export interface CachedUrls {
  /** Of a project that somebody made. */
  readonly cached: string;
  /** Of one that the mirror was configured with. */
  readonly passed: string;
}

/** Writes the projects, people and robots of the model into the store, as it lies in the folder. */
export async function makeAccounts(folder: string, urls: CachedUrls): Promise<Accounts> {
  const records = new FilesystemRecordStore(folder);
  await records.prepare(unending);
  const deps = folderManagement(folder, records);
  const { projects } = createStoreIndex(records, systemClock);
  const caches = [
    project('cached', { upstream: { url: urls.cached }, members, groups }),
    project('passed', { upstream: { url: urls.passed, isConfigured: true }, members, groups }),
  ];
  for (const one of [...Object.values(PROJECTS), ...caches]) await projects.put(one, unending);
  await storeCachedCopy(folder, urls.cached);
  const passwords: Passwords = new Map();
  const users = new Users(deps);
  await addPeople(users, passwords);
  const sessions = await addPeopleOfProvider(records, passwords);
  const root = await new LocalUsers(users).standing('local:root', unending);
  const begun = { identityId: 'local:root', stamp: root?.stamp ?? '' };
  sessions.set('root', await new Sessions(records, systemClock).begin(begun, unending));
  await addRobots(new Robots(deps), passwords);
  return { get: (who) => passwords.get(who), session: (who) => sessions.get(who) };
}

const members = [
  ...Object.entries(ROLES).map(([name, role]) => ({ id: `local:${name}`, role })),
  { id: idAtProvider('both'), role: 'guest' },
] as const;
const groups = [
  { group: 'oidc:readers', role: 'guest' },
  { group: 'oidc:builders', role: 'developer' },
  { group: 'oidc:owners', role: 'maintainer' },
  { group: 'ldap:owners', role: 'maintainer' },
] as const;
const project = (name: string, more: Partial<ProjectRecord>): ProjectRecord => ({
  schemaVersion: 1,
  name,
  createdAt: CREATED,
  id: `${name}-today`,
  visibility: 'private',
  ...more,
});
const PROJECTS = {
  public: project('public', { visibility: 'public', members, groups, rootPath: true }),
  secret: project('secret', { members, groups, rootPath: true }),
  // Made by a push: at the mirror its bare name is Docker Hub's.
  others: project('others', {
    members: [{ id: 'local:stranger', role: 'maintainer' }],
    createdBy: 'local:stranger',
  }),
};

async function addPeople(users: Users, accounts: Passwords): Promise<void> {
  const add = async (name: string, isAdmin = false): Promise<void> => {
    await users.add({ name, password: PASSWORD, isAdmin, mustChange: false }, unending);
    accounts.set(name, [name, PASSWORD]);
  };
  for (const name of ['stranger', ...Object.keys(ROLES)]) await add(name);
  await add('root', true);
  for (let turn = 0; turn < TURNS; turn += 1) {
    await add(inTurn('revoked', turn));
    await users.setDisabled(inTurn('revoked', turn), true, unending);
    await add(inTurn('mistaken', turn));
    accounts.set(inTurn('mistaken', turn), [inTurn('mistaken', turn), 'incorrect horse']);
  }
}

/** Each by a password for the command line and with a session: the provider is not asked. */
async function addPeopleOfProvider(
  records: FilesystemRecordStore,
  accounts: Passwords,
): Promise<Map<string, string>> {
  const people = new People(records, systemClock);
  const passwords = new CliPasswords(records, systemClock);
  const sessions = new Map<string, string>();
  const expiresAt = new Date(Date.now() + 3600_000);
  const make = async (owner: Identity): Promise<string> =>
    (await passwords.make(owner, { label: 'laptop', expiresAt }, unending)).secret;
  const keeper = { id: 'local:keeper', name: 'keeper', groups: [], isAdmin: false } as const;
  accounts.set('laptop', ['keeper', await make({ kind: 'user', ...keeper })]);
  for (const [name, signIns] of Object.entries(OF_PROVIDER)) {
    const id = idAtProvider(name);
    const person = { kind: 'user', id, name, groups: [], isAdmin: false } as const;
    for (const told of signIns) await people.noteSignIn({ ...person, groups: told }, unending);
    accounts.set(name, [name, await make(person)]);
    const session = { identityId: id, stamp: '' };
    sessions.set(name, await new Sessions(records, systemClock).begin(session, unending));
  }
  return sessions;
}

async function addRobots(robots: Robots, accounts: Passwords): Promise<void> {
  const { secret, others } = PROJECTS;
  const add = async (
    name: string,
    actions: readonly ('pull' | 'push' | 'delete')[],
    home: ProjectRecord = secret,
    expiresAt?: Date,
  ): Promise<void> => {
    const robot = { name, actions, expiresAt, createdBy: undefined };
    const password = await robots.add(home, robot, unending);
    accounts.set(name, [`robot$${home.name}+${name}`, password]);
  };
  const all = ['pull', 'push', 'delete'] as const;
  await add('puller', ['pull']);
  await add('pusher', ['push']);
  await add('builder', ['pull', 'push']);
  await add('sweeper', ['pull', 'delete']);
  await add('elsewhere', all, others);
  await add('leftover', all, { ...secret, id: 'secret-before' });
  for (let turn = 0; turn < TURNS; turn += 1) {
    await add(inTurn('expired', turn), all, secret, new Date(Date.now() - 1_000));
    await add(inTurn('switched-off', turn), all);
    const off = { project: secret.name, name: inTurn('switched-off', turn) };
    await robots.setDisabled(off, true, unending);
  }
}
