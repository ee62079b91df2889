/**
 * Who may do what, and what he is told, written down from docs/auth.md and docs/projects.md and from nothing else: the
 * registry's own code has no part in it.
 */

export type Role = 'push' | 'mirror';
export type Right = 'pull' | 'push' | 'delete';
export type Project = 'public' | 'secret' | 'others' | 'absent';

const EVERYTHING: readonly Right[] = ['pull', 'push', 'delete'];

/** What a member of `public` and `secret` may, and what `stranger`, who is the maintainer of `others`, may there. */
const PEOPLE: Readonly<Record<string, Partial<Record<Project, readonly Right[]>>>> = {
  stranger: { others: EVERYTHING },
  guest: { public: ['pull'], secret: ['pull'] },
  developer: { public: ['pull', 'push'], secret: ['pull', 'push'] },
  maintainer: { public: EVERYTHING, secret: EVERYTHING },
  keeper: { public: EVERYTHING, secret: EVERYTHING },
};
const ROBOTS: typeof PEOPLE = {
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
 * pull, `other-token` with every right to something else; `bad`: credentials that are not right.
 */
type Proof = 'nothing' | 'password' | 'token' | 'pull-token' | 'other-token' | 'bad';

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
export function isAllowed({ who, proof }: Asker, right: Right, place: Place, role: Role): boolean {
  switch (proof) {
    case 'bad':
    case 'other-token':
      return false;
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
}

/** What somebody is told who may not. The same for what is there and for what is not. */
export function refusal({ who, proof }: Asker): Told {
  if (proof === 'password') return { status: 403, code: 'DENIED' };
  const isSomebody = proof !== 'bad' && proof !== 'nothing' && who !== 'nobody';
  return { status: 401, code: isSomebody ? 'DENIED' : 'UNAUTHORIZED' };
}

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
  if (proof !== 'nothing' && proof !== 'password') return DENIED;
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
