import { looseManifest, TAG } from './contents.ts';
import type { ApiAccess, ApiTask, Project, Told } from './model.ts';
import { CONTENT } from './names.ts';

/** A request to the management API. */
export interface ApiOperation {
  /** As the OpenAPI document has it. */
  readonly id: string;
  readonly method: string;
  readonly access: ApiAccess;
  /** Undefined: it is about no project. */
  readonly task?: ApiTask;
  /** What is asked of those who may not is what would do harm; of the others what does none. */
  readonly path: (project: Project, isAllowed: boolean) => string;
  readonly body?: (isAllowed: boolean) => object;
  /** To those who may. */
  readonly told: Told;
  /** To those who may everything, where there is no such project. */
  readonly missing?: Told;
}

const UNKNOWN: Told = { status: 404, code: 'NAME_UNKNOWN' };
const NO_MANIFEST: Told = { status: 404, code: 'MANIFEST_UNKNOWN' };
/** What has no sense is refused after those who may not were. */
const NONSENSE = { nonsense: true };
const BAD_REQUEST: Told = { status: 400 };

const read = (id: string, access: ApiAccess, path: string): ApiOperation => ({
  id,
  method: 'GET',
  access,
  path: () => path,
  told: { status: 200 },
});

const ofProject = (id: string, access: ApiAccess, task: ApiTask, rest: string): ApiOperation => ({
  ...read(id, access, ''),
  task,
  path: (project) => `/api/v1/projects/${project}${rest}`,
});

const ofRepository = (id: string, rest: (project: Project) => string): ApiOperation => ({
  ...read(id, 'reader', ''),
  task: 'pull',
  path: (project) => `/api/v1/repositories/${project}/app/-/${rest(project)}`,
  missing: id === 'getManifest' ? NO_MANIFEST : UNKNOWN,
});

const nonsense = (id: string, access: ApiAccess, method: string, path: string): ApiOperation => ({
  id,
  method,
  access,
  path: () => path,
  body: () => NONSENSE,
  told: BAD_REQUEST,
});

/** A change of a project by its maintainers: `real` is what others are not to change. */
const change = (
  id: string,
  method: string,
  [real, harmless]: readonly [string, string],
  more: Pick<ApiOperation, 'told' | 'body'>,
): ApiOperation => ({
  id,
  method,
  access: 'person',
  task: 'decide',
  path: (project, isAllowed) => `/api/v1/projects/${project}${isAllowed ? harmless : real}`,
  ...more,
});

const contentOf = (project: Project) => CONTENT[project === 'absent' ? 'secret' : project];

export const API_OPERATIONS: readonly ApiOperation[] = [
  read('getHealth', 'reader', '/api/v1/health'),
  read('getDocument', 'open', '/api/v1/openapi.json'),
  read('getAccount', 'signed-in', '/api/v1/account'),
  read('listCliPasswords', 'person', '/api/v1/account/cli-passwords'),
  nonsense('makeCliPassword', 'person', 'POST', '/api/v1/account/cli-passwords'),
  {
    ...nonsense(
      'revokeCliPassword',
      'person',
      'DELETE',
      '/api/v1/account/cli-passwords/0123456789abcdee',
    ),
    body: () => ({}),
    told: UNKNOWN,
  },
  read('listProjects', 'reader', '/api/v1/projects'),
  nonsense('createProject', 'person', 'POST', '/api/v1/projects'),
  read('listUsers', 'admin', '/api/v1/users'),
  nonsense('addUser', 'admin', 'POST', '/api/v1/users'),
  read('getUser', 'admin', '/api/v1/users/guest'),
  nonsense('changeUser', 'admin', 'PATCH', '/api/v1/users/guest'),
  nonsense('setUserPassword', 'admin', 'PUT', '/api/v1/users/guest/password'),
  read('listPeople', 'admin', '/api/v1/people'),
  nonsense('changePerson', 'admin', 'PATCH', '/api/v1/people/ldap:lara'),
  ofProject('getProject', 'reader', 'see', ''),
  ofProject('listRepositories', 'reader', 'see', '/repositories'),
  ofProject('listMembers', 'signed-in', 'look', '/members'),
  ofProject('getUsage', 'signed-in', 'look', '/usage'),
  ofProject('listRobots', 'signed-in', 'decide', '/robots'),
  ofRepository('listTags', () => 'tags'),
  ofRepository('listManifests', () => 'manifests'),
  ofRepository('getManifest', (project) => `manifests/${contentOf(project).manifest.digest}`),
  {
    ...ofRepository('deleteTag', () => ''),
    method: 'DELETE',
    access: 'signed-in',
    task: 'delete',
    path: (project, isAllowed) =>
      `/api/v1/repositories/${project}/app/-/tags/${isAllowed ? 'none' : TAG}`,
    told: NO_MANIFEST,
    missing: NO_MANIFEST,
  },
  {
    ...ofRepository('deleteManifest', () => ''),
    method: 'DELETE',
    access: 'signed-in',
    task: 'delete',
    path: (project, isAllowed) => {
      const { manifest } = contentOf(project);
      const { digest } = isAllowed ? looseManifest('nobody pushed it') : manifest;
      return `/api/v1/repositories/${project}/app/-/manifests/${digest}`;
    },
    told: NO_MANIFEST,
    missing: NO_MANIFEST,
  },
  change('setMember', 'PUT', ['/members/local:stranger', '/members/local:nobody'], {
    body: () => ({ role: 'guest' }),
    told: { status: 204 },
  }),
  change('removeMember', 'DELETE', ['/members/local:guest', '/members/local:unknown'], {
    told: UNKNOWN,
  }),
  change('setGroup', 'PUT', ['/groups/ldap:everybody', '/groups/ldap:nobody'], {
    body: () => ({ role: 'guest' }),
    told: { status: 204 },
  }),
  change('removeGroup', 'DELETE', ['/groups/ldap:nobody', '/groups/ldap:unknown'], {
    told: UNKNOWN,
  }),
  change('changeProject', 'PATCH', ['', ''], {
    body: (isAllowed) => (isAllowed ? {} : { visibility: 'public' }),
    told: { status: 200 },
  }),
  {
    ...change('changeProject', 'PATCH', ['', ''], {
      body: (isAllowed) => (isAllowed ? {} : { rootPath: true, quotaBytes: 1 }),
      told: { status: 200 },
    }),
    task: 'approve',
  },
  // There is something in all of them: who may is told that.
  change('deleteProject', 'DELETE', ['', ''], {
    told: { status: 403, code: 'DENIED', says: 'has images' },
  }),
  change('addRobot', 'POST', ['/robots', '/robots'], {
    body: (isAllowed) => ({
      name: isAllowed ? 'Not a name' : 'intruder',
      actions: ['pull', 'push', 'delete'],
    }),
    told: { status: 400 },
  }),
  // One of `secret`: for others it is nobody's.
  change('rotateRobot', 'POST', ['/robots/puller/secret', '/robots/none/secret'], {
    told: UNKNOWN,
  }),
  change('changeRobot', 'PATCH', ['/robots/puller', '/robots/none'], {
    body: () => ({ disabled: true }),
    told: UNKNOWN,
  }),
  change('removeRobot', 'DELETE', ['/robots/puller', '/robots/leftover'], { told: UNKNOWN }),
];

/** Of people with a browser: their own tests try them. */
export const OF_BROWSERS: readonly (readonly [id: string, access: ApiAccess])[] = [
  ['getSession', 'signed-in'],
  ['signIn', 'open'],
  ['signOut', 'signed-in'],
  ['changePassword', 'open'],
];

/** All that the mirror has of it. */
export const AT_MIRROR: typeof OF_BROWSERS = [
  ['getAccount', 'signed-in'],
  ['getHealth', 'reader'],
  ['getDocument', 'open'],
];
