/**
 * Who may do what, and what he is told, written down from docs/auth.md and docs/projects.md and from nothing else: the
 * registry's own code has no part in it.
 */

export type Role = 'push' | 'mirror';
export type Right = 'pull' | 'push' | 'delete';
/** `cached` and `passed` are caches of other registries: made by people, and of the mirror's configuration. */
export type Project = 'public' | 'secret' | 'others' | 'absent' | 'cached' | 'passed';

const EVERYTHING: readonly Right[] = ['pull', 'push', 'delete'];

type Rights = Partial<Record<Project, readonly Right[]>>;
const inTeam = (...rights: readonly Right[]): Rights => ({
  public: rights,
  secret: rights,
  cached: rights,
  passed: rights,
});

/** What members of all projects but `others` may there, and what `stranger`, who is the maintainer of that, may in it. */
const PEOPLE: Readonly<Record<string, Rights>> = {
  stranger: { others: EVERYTHING },
  guest: inTeam('pull'),
  developer: inTeam('pull', 'push'),
  maintainer: inTeam(...EVERYTHING),
  keeper: inTeam(...EVERYTHING),
  /** Of a group of developers. */
  grouped: inTeam('pull', 'push'),
  /** Of a group of guests and one of maintainers. */
  twofold: inTeam(...EVERYTHING),
  /** A guest, and of a group of developers. */
  both: inTeam('pull', 'push'),
  /** Of groups that are called nearly like those of maintainers. */
  namesake: {},
  /** Not of the group of maintainers any more. */
  left: {},
};
const ROBOTS: Readonly<Record<string, Rights>> = {
  puller: { secret: ['pull'] },
  pusher: { secret: ['push'] },
  builder: { secret: ['pull', 'push'] },
  sweeper: { secret: ['pull', 'delete'] },
  elsewhere: { others: EVERYTHING },
  /** Made in a project that had the name of `secret` before. */
  leftover: { secret: [] },
};

/** Somebody, by his name here; `nobody` has no name. */
export type Somebody = string;

/**
 * How he shows who he is. `token` is asked for with every right to what the request names, `pull-token` with that to
 * pull, `other-token` with every right to something else; `cookie`: a session of a browser, which is for its pages and for the
 * management API; `bad`: credentials that are not right.
 */
type Proof = 'nothing' | 'password' | 'token' | 'pull-token' | 'other-token' | 'cookie' | 'bad';

/** What a name means at a role. */
export type Place =
  | { readonly kind: 'project'; readonly project: Project }
  /** An upstream's: for everybody, or for those who are signed in. Nobody changes it. */
  | { readonly kind: 'upstream'; readonly isShared: boolean };

/** Whether the registry itself lets somebody do something, whatever he shows. */
export function may(who: Somebody, right: Right, place: Place, role: Role): boolean {
  if (place.kind === 'upstream') {
    return right === 'pull' ? !place.isShared || who !== 'nobody' : who === 'root';
  }
  if (who === 'root') return true;
  const { project } = place;
  // Every person who is signed in may make a project by pushing; nothing is pushed to a mirror.
  if (project === 'absent') return right === 'push' && role === 'push' && who in PEOPLE;
  if (project === 'public' && right === 'pull') return true;
  return ((PEOPLE[who] ?? ROBOTS[who])?.[project] ?? []).includes(right);
}

export interface Asker {
  readonly who: Somebody;
  readonly proof: Proof;
}

/** Whether a request gets as far as being done. */
function isAllowed({ who, proof }: Asker, right: Right, place: Place, role: Role): boolean {
  switch (proof) {
    case 'bad':
    case 'other-token':
      return false;
    case 'cookie':
      return may('nobody', right, place, role);
    case 'nothing':
    case 'password':
      return may(who, right, place, role);
    case 'pull-token':
      return right === 'pull' && may(who, right, place, role);
    case 'token':
      return may(who, right, place, role) || looksFirst(who, right, place, role);
  }
}

/** Who may make a project by pushing may look into it with the same token: clients do before they push. */
const looksFirst = (who: Somebody, right: Right, place: Place, role: Role): boolean =>
  right === 'pull' &&
  place.kind === 'project' &&
  place.project === 'absent' &&
  may(who, 'push', place, role);

export interface Told {
  readonly status: number;
  readonly code?: string;
  /** Stands in the message: tells it from a refusal of the same status. */
  readonly says?: string;
}

/** What somebody is told who may not. The same for what is there and for what is not. */
export function refusal({ who, proof }: Asker): Told {
  if (proof === 'password') return { status: 403, code: 'DENIED' };
  const isUnknown = proof === 'bad' || proof === 'nothing' || proof === 'cookie';
  const isSomebody = !isUnknown && who !== 'nobody';
  return { status: 401, code: isSomebody ? 'DENIED' : 'UNAUTHORIZED' };
}

/** What a mode of AUTH_MODE lets happen. */
export interface Rules {
  isAllowed(asker: Asker, right: Right, place: Place, role: Role): boolean;
  /** Of a right to another repository than the one of the request. */
  mayRead(asker: Asker, place: Place, role: Role): boolean;
}

/** `token`: what projects say. */
export const BY_PROJECTS: Rules = {
  isAllowed,
  mayRead: ({ who }, place, role) => may(who, 'pull', place, role),
};

/** The same with AUTH_PROJECT_CREATION=admins. */
export const BY_PROJECTS_OF_ADMINS: Rules = {
  ...BY_PROJECTS,
  isAllowed: (asker, right, place, role) => {
    const isAbsent = place.kind === 'project' && place.project === 'absent';
    return (!isAbsent || asker.who === 'root') && isAllowed(asker, right, place, role);
  },
};

const isForSignedIn = (place: Place): boolean =>
  place.kind === 'upstream' ? place.isShared : place.project === 'passed';

/** `htpasswd`: projects are not asked. `isPullPublic`: with AUTH_ANONYMOUS_PULL. */
export function byFile(isPullPublic: boolean): Rules {
  const mayBy = ({ who, proof }: Asker, right: Right, place: Place, role: Role): boolean => {
    if (proof === 'bad' || proof === 'other-token') return false;
    if (proof === 'pull-token' && right !== 'pull') return false;
    if (who !== 'nobody') return true;
    const isServed = role === 'push' || !isForSignedIn(place);
    return right === 'pull' && isPullPublic && isServed;
  };
  return {
    isAllowed: mayBy,
    mayRead: (asker, place, role) => mayBy(asker, 'pull', place, role),
  };
}

/** `external`: what a token says, and nothing else. */
export const BY_TOKENS_ALONE: Rules = {
  isAllowed: ({ proof }, right) =>
    proof === 'token' || (proof === 'pull-token' && right === 'pull'),
  mayRead: ({ proof }) => proof === 'token',
};

/** The rights that a token has, of those that were asked for to one name; less than what was asked for is no error. */
export const granted = (
  who: Somebody,
  asked: readonly Right[],
  place: Place,
  role: Role,
): readonly Right[] =>
  EVERYTHING.filter(
    (right) =>
      asked.includes(right) &&
      (may(who, right, place, role) ||
        (asked.includes('push') && looksFirst(who, right, place, role))),
  );

/**
 * At the mirror credentials that are not right get what everybody gets, as long as that is what was asked for: docker
 * sends its login at Docker Hub to every mirror.
 */
export const isEndured = (asked: readonly Right[], place: Place, role: Role): boolean =>
  role === 'mirror' &&
  asked.every((right) => right === 'pull') &&
  may('nobody', 'pull', place, role);

/** Who may call an endpoint of the management API at all (docs/api.md). */
export type ApiAccess = 'open' | 'reader' | 'signed-in' | 'person' | 'admin';
/** What he must be allowed to do to the project, or its repository, that it is about. */
export type ApiTask = 'see' | 'look' | 'decide' | 'approve' | 'pull' | 'delete';

const NOBODY: Told = { status: 401, code: 'UNAUTHORIZED' };
const DENIED: Told = { status: 403, code: 'DENIED' };
const NOT_THERE: Told = { status: 404, code: 'NAME_UNKNOWN' };

/** What the management API tells somebody who may not; undefined: he may. `isCli`: by a password for the command line. */
export function apiRefusal(
  { who, proof, isCli }: Asker & { readonly isCli: boolean },
  access: ApiAccess,
  task: ApiTask | undefined,
  project: Project,
): Told | undefined {
  if (access === 'open') return undefined;
  if (proof === 'bad') return NOBODY;
  // Tokens are for repositories.
  if (proof !== 'nothing' && proof !== 'password' && proof !== 'cookie') return DENIED;
  const refused = who === 'nobody' ? NOBODY : DENIED;
  if (!isOfClass(who, isCli, access)) return refused;
  if (task === undefined || mayManage(who, task, project)) return undefined;
  const isSeen = project !== 'absent' && mayManage(who, 'see', project);
  return isSeen || who === 'root' ? refused : who === 'nobody' ? NOBODY : NOT_THERE;
}

function isOfClass(who: Somebody, isCli: boolean, access: ApiAccess): boolean {
  const isPerson = who !== 'nobody' && !(who in ROBOTS) && !isCli;
  switch (access) {
    case 'open':
    case 'reader':
      return true;
    case 'signed-in':
      return who !== 'nobody';
    case 'person':
      return isPerson;
    case 'admin':
      return isPerson && who === 'root';
  }
}

function mayManage(who: Somebody, task: ApiTask, project: Project): boolean {
  const place: Place = { kind: 'project', project };
  if (task === 'see' || task === 'pull') return may(who, 'pull', place, 'push');
  if (task === 'delete') return may(who, 'delete', place, 'push');
  if (who === 'root') return true;
  const rights = PEOPLE[who]?.[project] ?? [];
  if (task === 'look') return rights.length > 0;
  return task === 'decide' && rights.includes('delete');
}
