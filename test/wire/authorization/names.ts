import { makeContent, type RepositoryContent } from './contents.ts';
import type { Place, Project, Role, Told } from './model.ts';

export const OURS = 'push.example:5000';
export const VAULT = 'vault.example';
export const PASSED = 'passed.example';

/** What repositories of this store and of the upstreams hold. */
export const CONTENT = {
  public: makeContent('public/app'),
  secret: makeContent('secret/app'),
  others: makeContent('others/app'),
  hub: makeContent('library/hello'),
  /** At Docker Hub a name that is a private project's here. */
  hubOthers: makeContent('docker.io/others/app'),
  hidden: makeContent('org/hidden'),
  vault: makeContent('vault/team/app'),
  cached: makeContent('cached/app'),
  /** Private at its upstream. */
  passed: makeContent('passed/app'),
};

/** A name as it stands on the path, and what it means at a role. */
export interface Name {
  readonly spelling: string;
  readonly ns?: string;
  /** As token scopes have it. */
  readonly scope: string;
  readonly place: Place;
  /** What is asked for. Where it is not there, that of a private repository. */
  readonly content: RepositoryContent;
  /** What is in this store, or at the upstream, and not in this repository. */
  readonly foreign: RepositoryContent;
  /** Whether it holds the content; otherwise nothing. */
  readonly isThere: boolean;
  /** Answered to all who may, whatever they read: an image that its upstream shows to nobody. */
  readonly always?: Told;
  /** What those who may push or delete are told all the same: by this name nothing is changed. */
  readonly isReadOnly?: true;
  /** How thoroughly it is tried. */
  readonly depth: 'every operation' | 'main operations' | 'main reads';
  /** What is cached is evicted, not deleted. */
  readonly isCache?: true;
  /** At the mirror its upstream cannot be asked: what is not held is told so. */
  readonly isCutOff?: true;
  /** Those that nobody without rights can tell from each other. */
  readonly likes: string;
}

type Depth = Name['depth'];

const EVERY: Depth = 'every operation';
const MAIN: Depth = 'main operations';
const READS: Depth = 'main reads';

interface More {
  readonly depth: Depth;
  readonly prefix?: 'local/';
  readonly ns?: string;
  readonly scope?: string;
  /** Where it is not there although the project is. */
  readonly isThere?: false;
  /** A copy of another registry's, where that can be asked or not. */
  readonly cache?: 'asked' | 'cut off';
}

/** By other names, some of them of other registries, the store or an upstream has them. */
const FOREIGN: Readonly<Record<Project, RepositoryContent>> = {
  public: CONTENT.vault,
  secret: CONTENT.others,
  others: CONTENT.secret,
  absent: CONTENT.others,
  cached: CONTENT.passed,
  passed: CONTENT.cached,
};

/** `team/app`, as a project of this store. All of them have names of one length. */
function here(project: Project, repository: 'app' | 'nix', more: More): Name {
  const { depth, prefix = '', ns, cache } = more;
  const spelling = `${prefix}${project}/${repository}`;
  const isThere = (more.isThere ?? true) && repository === 'app' && project !== 'absent';
  const content = project === 'absent' || !isThere ? CONTENT.secret : CONTENT[project];
  return {
    spelling,
    ...(ns !== undefined && { ns }),
    scope: more.scope ?? spelling,
    place: { kind: 'project', project },
    content,
    foreign: FOREIGN[project],
    isThere,
    ...((prefix !== '' || cache) && { isReadOnly: true }),
    ...(cache && { isCache: true }),
    ...(cache === 'cut off' && { isCutOff: true }),
    depth,
    likes: `${prefix}?${ns ?? ''}`,
  };
}

interface Upstream {
  readonly depth?: Depth;
  readonly ns?: string;
  readonly scope?: string;
  readonly isThere?: boolean;
  readonly isShared?: boolean;
  readonly always?: Told;
}

function upstream(spelling: string, content: RepositoryContent, more: Upstream = {}): Name {
  const { ns, scope = spelling, isThere = true, isShared = false, always, depth = READS } = more;
  return {
    spelling,
    ...(ns !== undefined && { ns }),
    scope,
    place: { kind: 'upstream', isShared },
    content,
    foreign: content === CONTENT.vault ? CONTENT.secret : CONTENT.vault,
    isThere,
    ...(always && { always }),
    isReadOnly: true,
    isCache: true,
    depth,
    likes: `upstream ${spelling} ${ns ?? ''}`,
  };
}

const MISSING: Upstream = { isThere: false };
/** docs/mirror.md, "Private images". */
const HIDDEN: Told = { status: 403, code: 'DENIED' };

const AT_PUSH: readonly Name[] = [
  here('public', 'app', { depth: MAIN }),
  here('public', 'nix', { depth: MAIN }),
  here('secret', 'app', { depth: EVERY }),
  here('secret', 'nix', { depth: MAIN }),
  here('absent', 'app', { depth: EVERY }),
  here('others', 'app', { depth: EVERY }),
  here('cached', 'app', { depth: MAIN, cache: 'asked' }),
  // What only an account may read is kept nowhere.
  here('passed', 'app', { depth: MAIN, cache: 'asked', isThere: false }),
  ...(['public', 'secret', 'others', 'absent'] as const).flatMap((project) => [
    here(project, 'app', { depth: project === 'secret' ? MAIN : READS, prefix: 'local/' }),
    here(project, 'app', { depth: READS, ns: OURS }),
  ]),
  // Cached by the mirror over the same store.
  upstream('mirror/library/hello', CONTENT.hub, { depth: MAIN }),
  upstream('docker.io/library/hello', CONTENT.hub),
  upstream('library/hello', CONTENT.hub, { ns: 'docker.io', scope: 'mirror/library/hello' }),
  // A private project's name, and whoever may pull it says nothing of who may pull what is meant.
  upstream('secret/app', CONTENT.hub, {
    ...MISSING,
    ns: 'docker.io',
    scope: 'mirror/secret/app',
  }),
  upstream('mirror/org/hidden', CONTENT.hidden, MISSING),
  upstream('team/app', CONTENT.vault, { ...MISSING, ns: VAULT, scope: 'vault/team/app' }),
  upstream('vault/team/app', CONTENT.vault, MISSING),
  upstream('local/vault/team/app', CONTENT.vault, MISSING),
];

const passedByHost: Name = {
  ...here('passed', 'app', { depth: READS, ns: PASSED, cache: 'asked', scope: 'passed/app' }),
  spelling: 'app',
  likes: 'passed by its host',
};

const AT_MIRROR: readonly Name[] = [
  here('public', 'app', { depth: MAIN }),
  here('secret', 'app', { depth: EVERY }),
  here('secret', 'nix', { depth: READS }),
  here('cached', 'app', { depth: MAIN, cache: 'cut off' }),
  here('passed', 'app', { depth: MAIN, cache: 'asked' }),
  ...(['public', 'secret', 'others', 'absent'] as const).flatMap((project) => [
    here(project, 'app', { depth: READS, prefix: 'local/' }),
    here(project, 'app', { depth: READS, ns: OURS, scope: `local/${project}/app` }),
  ]),
  here('secret', 'nix', { depth: READS, prefix: 'local/' }),
  // Here this name is Docker Hub's.
  upstream('others/app', CONTENT.hubOthers),
  upstream('library/hello', CONTENT.hub),
  upstream('hello', CONTENT.hub),
  upstream('mirror/library/hello', CONTENT.hub),
  upstream('local/mirror/library/hello', CONTENT.hub),
  upstream('library/hello', CONTENT.hub, { ns: 'docker.io', scope: 'mirror/library/hello' }),
  upstream('others/app', CONTENT.hubOthers, { ns: 'docker.io', scope: 'mirror/others/app' }),
  upstream('org/hidden', CONTENT.hidden, { always: HIDDEN }),
  upstream('org/hidden', CONTENT.hidden, {
    ns: 'docker.io',
    scope: 'mirror/org/hidden',
    always: HIDDEN,
  }),
  upstream('vault/team/app', CONTENT.vault, { isShared: true }),
  passedByHost,
  upstream('team/app', CONTENT.vault, { ns: VAULT, scope: 'vault/team/app', isShared: true }),
];

export const NAMES: Readonly<Record<Role, readonly Name[]>> = {
  push: AT_PUSH,
  mirror: AT_MIRROR,
};
