import { describe, expect, test } from '@jest/globals';

import type { Identity } from '../auth/identity.ts';
import type { ProjectRecord } from '../index/ports.ts';
import { decideAccess, type RepositoryAction, type RobotRights } from './decide-access.ts';

const ACTIONS: readonly RepositoryAction[] = ['pull', 'push', 'delete'];

const user = (id: string, more: Partial<Identity> = {}): Identity => ({
  kind: 'user',
  id,
  name: id.replace(/^.*:/, ''),
  groups: [],
  isAdmin: false,
  ...more,
});
const robotNamed = (name: string): Identity => ({
  kind: 'robot',
  id: `robot:${name}`,
  name: `robot$${name}`,
  groups: [],
  isAdmin: false,
});

const record: ProjectRecord = {
  schemaVersion: 1,
  name: 'team',
  createdAt: '2026-01-01T00:00:00.000Z',
  id: 'id-of-team',
  members: [
    { id: 'local:guest', role: 'guest' },
    { id: 'local:developer', role: 'developer' },
    { id: 'local:maintainer', role: 'maintainer' },
    { id: 'local:owner', role: 'admin' },
    { id: 'local:both', role: 'guest' },
    { id: 'robot:member', role: 'admin' },
  ],
  groups: [
    { group: 'ldap:readers', role: 'guest' },
    { group: 'ldap:staff', role: 'developer' },
    { group: 'oidc:leads', role: 'maintainer' },
  ],
};
const PROJECTS = {
  public: { ...record, visibility: 'public' },
  private: { ...record, visibility: 'private' },
  absent: undefined,
} as const satisfies Record<string, ProjectRecord | undefined>;

const rights = (
  actions: readonly RepositoryAction[],
  more: Partial<RobotRights> = {},
): RobotRights => ({ project: 'team', projectId: 'id-of-team', actions, ...more });

interface Row {
  readonly who: string;
  readonly identity?: Identity;
  readonly robot?: RobotRights;
  /** p pull, P push, d delete; for a public, a private and an absent project. */
  readonly allowed: readonly [string, string, string];
}

const ROWS: readonly Row[] = [
  { who: 'nobody in particular', allowed: ['p', '', ''] },
  { who: 'somebody else', identity: user('local:else'), allowed: ['p', '', 'P'] },
  { who: 'a guest', identity: user('local:guest'), allowed: ['p', 'p', 'P'] },
  { who: 'a developer', identity: user('local:developer'), allowed: ['pP', 'pP', 'P'] },
  { who: 'a maintainer', identity: user('local:maintainer'), allowed: ['pPd', 'pPd', 'P'] },
  { who: 'an admin of the project', identity: user('local:owner'), allowed: ['pPd', 'pPd', 'P'] },
  {
    who: 'an administrator',
    identity: user('local:root', { isAdmin: true }),
    allowed: ['pPd', 'pPd', 'pPd'],
  },
  {
    who: 'a guest by a group',
    identity: user('ldap:x', { groups: ['ldap:readers'] }),
    allowed: ['p', 'p', 'P'],
  },
  {
    who: 'a developer by a group',
    identity: user('ldap:x', { groups: ['ldap:other', 'ldap:staff'] }),
    allowed: ['pP', 'pP', 'P'],
  },
  {
    who: 'a member whose group may more than he',
    identity: user('local:both', { groups: ['ldap:staff', 'oidc:leads'] }),
    allowed: ['pPd', 'pPd', 'P'],
  },
  {
    who: 'somebody whose group has the same name at another source',
    identity: user('oidc:x', { groups: ['oidc:staff', 'ldap:leads'] }),
    allowed: ['p', '', 'P'],
  },
  {
    who: 'somebody of the same name from another source',
    identity: user('ldap:maintainer', { name: 'maintainer' }),
    allowed: ['p', '', 'P'],
  },
  {
    who: 'a robot that may pull',
    identity: robotNamed('team+ci'),
    robot: rights(['pull']),
    allowed: ['p', 'p', ''],
  },
  {
    who: 'a robot that may push alone',
    identity: robotNamed('team+ci'),
    robot: rights(['push']),
    allowed: ['pP', 'P', ''],
  },
  {
    who: 'a robot that may everything',
    identity: robotNamed('team+ci'),
    robot: rights(['pull', 'push', 'delete']),
    allowed: ['pPd', 'pPd', ''],
  },
  {
    who: 'a robot that is disabled, expired or gone',
    identity: robotNamed('team+ci'),
    allowed: ['p', '', ''],
  },
  {
    who: 'a robot of another project',
    identity: robotNamed('other+ci'),
    robot: rights(['pull', 'push', 'delete'], { project: 'other' }),
    allowed: ['p', '', ''],
  },
  {
    who: 'a robot of a project that was deleted and made again',
    identity: robotNamed('team+ci'),
    robot: rights(['pull', 'push', 'delete'], { projectId: 'the id before' }),
    allowed: ['p', '', ''],
  },
  {
    who: 'a robot that is put down as a member',
    identity: { ...robotNamed('other+ci'), id: 'robot:member' },
    allowed: ['p', '', ''],
  },
  {
    who: 'a program of a platform whose group is a developer',
    identity: {
      ...robotNamed('x'),
      id: 'workload:https://kubernetes.example#x',
      groups: ['ldap:staff'],
      isAdmin: true,
    },
    allowed: ['pP', 'pP', ''],
  },
  {
    who: 'a program of a platform without a group here',
    identity: { ...robotNamed('x'), id: 'workload:https://kubernetes.example#x' },
    allowed: ['p', '', ''],
  },
  {
    who: 'a robot that says it is an administrator',
    identity: { ...robotNamed('team+ci'), isAdmin: true, groups: ['oidc:leads'] },
    robot: rights(['pull']),
    allowed: ['p', 'p', ''],
  },
];

const letters = (identity: Row, project: ProjectRecord | undefined, isFree = true): string =>
  ACTIONS.filter((action) =>
    decideAccess({
      identity: identity.identity,
      robot: identity.robot,
      action,
      project,
      isFree,
    }),
  )
    .map((action) => ({ pull: 'p', push: 'P', delete: 'd' })[action])
    .join('');

describe('who may do what to the repositories of a project', () => {
  test.each(ROWS)('$who', (row) => {
    expect([
      letters(row, PROJECTS.public),
      letters(row, PROJECTS.private),
      letters(row, PROJECTS.absent),
    ]).toEqual(row.allowed);
  });

  test('a project without a word on it is public, and nobody but administrators pushes to it', () => {
    const adopted: ProjectRecord = {
      schemaVersion: 1,
      name: 'old',
      createdAt: '2026-01-01T00:00:00.000Z',
      adopted: true,
    };
    const of = (who: string): string =>
      letters(
        ROWS.find((row) => row.who === who)!,
        adopted,
      );
    expect(of('nobody in particular')).toBe('p');
    expect(of('a maintainer')).toBe('p');
    expect(of('an administrator')).toBe('pPd');
  });

  test('nobody but an administrator makes a project where that is reserved to them', () => {
    for (const row of ROWS) {
      const expected = row.identity?.isAdmin === true && row.identity.kind === 'user' ? 'pPd' : '';
      expect([row.who, letters(row, undefined, false)]).toEqual([row.who, expected]);
    }
  });

  test('the name of a robot gives it nothing (T-RB1)', () => {
    for (const name of ['team+admin', 'team+scanner-1', 'local:maintainer', 'team+robot$team+ci']) {
      const row: Row = { who: name, identity: robotNamed(name), allowed: ['', '', ''] };
      expect(letters(row, PROJECTS.private)).toBe('');
    }
  });
});
