import { createStoreIndex } from '../../../shared/index/store/create-store-index.ts';
import type { ProjectRecord } from '../../../shared/index/ports.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import { CliPasswords } from '../../../shared/management/cli-passwords.ts';
import { Robots } from '../../../shared/management/robots.ts';
import { folderManagement } from '../../../shared/management/testing/folder-management.ts';
import { Users } from '../../../shared/management/users.ts';
import { FilesystemRecordStore } from '../../../shared/storage/filesystem/filesystem-record-store.ts';
import { unending } from '../../../shared/storage/testing/contract-support.ts';

/** Mistakes are counted by user name: those who make them are so many, and take turns. */
const TURNS = 24;

const PASSWORD = 'correct horse battery';
const CREATED = '2026-01-01T00:00:00.000Z';
const ROLES = {
  guest: 'guest',
  developer: 'developer',
  maintainer: 'maintainer',
  keeper: 'admin',
} as const;

/** User name and password, by the name that somebody has in the model; those who take turns with a number behind it. */
export type Accounts = ReadonlyMap<string, readonly [username: string, password: string]>;

/** Which account of those who take turns has the turn. */
export const inTurn = (kind: string, serial: number): string => `${kind}-${serial % TURNS}`;

/** Writes the projects, people and robots of the model into the store, as it lies in the folder. */
export async function makeAccounts(folder: string): Promise<Accounts> {
  const records = new FilesystemRecordStore(folder);
  await records.prepare(unending);
  const deps = folderManagement(folder, records);
  const { projects } = createStoreIndex(records, systemClock);
  for (const project of Object.values(PROJECTS)) await projects.put(project, unending);
  const accounts = new Map<string, readonly [string, string]>();
  await addPeople(new Users(deps), accounts);
  const { secret } = await new CliPasswords(records, systemClock).make(
    { kind: 'user', id: 'local:keeper', name: 'keeper', groups: [], isAdmin: false },
    { label: 'laptop', expiresAt: new Date(Date.now() + 3600_000) },
    unending,
  );
  accounts.set('laptop', ['keeper', secret]);
  await addRobots(new Robots(deps), accounts);
  return accounts;
}

const members = Object.entries(ROLES).map(([name, role]) => ({ id: `local:${name}`, role }));
const project = (name: string, more: Partial<ProjectRecord>): ProjectRecord => ({
  schemaVersion: 1,
  name,
  createdAt: CREATED,
  id: `${name}-today`,
  visibility: 'private',
  ...more,
});
const PROJECTS = {
  public: project('public', { visibility: 'public', members, rootPath: true }),
  secret: project('secret', { members, rootPath: true }),
  // Made by a push: at the mirror its bare name is Docker Hub's.
  others: project('others', {
    members: [{ id: 'local:stranger', role: 'maintainer' }],
    createdBy: 'local:stranger',
  }),
};

async function addPeople(
  users: Users,
  accounts: Map<string, readonly [string, string]>,
): Promise<void> {
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

async function addRobots(
  robots: Robots,
  accounts: Map<string, readonly [string, string]>,
): Promise<void> {
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
