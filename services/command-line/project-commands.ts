import { PROJECT_ROLES, type ProjectRecord, type ProjectRole } from '../../shared/index/ports.ts';
import type { ProjectUsage } from '../../shared/management/project-administration.ts';
import { byteSize, formatByteSize } from './byte-size.ts';
import { changesRight, CommandError, EXIT, type StoreCommand } from './command.ts';
import { commandOptions } from './command-options.ts';
import { withManagement } from './with-management.ts';

const VISIBILITIES = ['public', 'private'] as const;

const projectList: StoreCommand = {
  name: 'project list',
  summary: 'list the projects',
  help: 'One line each: when it was made, the name, who may pull.\n\nExit code: 0 listed, 2 not.',
  run: (context) =>
    withManagement(context, async ({ projects }) => {
      const all = await projects.list(context.signal);
      if (all.length === 0) context.print('There are no projects.');
      for (const { createdAt, name, visibility } of all) {
        context.print(`${createdAt}  ${name}  ${visibility ?? 'public'}`);
      }
      return EXIT.fine;
    }),
};

const projectCreate: StoreCommand = {
  name: 'project create',
  usage: '<name> [--visibility public|private] [--owner <id>] [--upstream <url> [--pass-through]]',
  audits: changesRight,
  summary: 'make a project, the first part of names like <name>/app',
  help: `A project is private unless --visibility says public. The owner becomes its maintainer: alice or local:alice is a user of
\`twinport user\`, other sources are written before the colon (htpasswd:alice, ldap:alice).
--upstream makes a cache of the registry at that address, which hosts no images of its own: mirrors that run serve it
within 10 seconds. It is asked as anybody, at public addresses alone; what needs more is configured in UPSTREAMS, whose
entries win. --pass-through has its private images passed on to those who may pull from the project, and kept nowhere, as
far as the account may read them that the mirror's UPSTREAMS has for the same address.

Exit code: 0 made, 2 not.`,
  run: (context) => {
    const options = commandOptions(
      context.args,
      { words: [1, 1] },
      { visibility: 'text', owner: 'text', upstream: 'text', 'pass-through': 'flag' },
    );
    const [name = ''] = options.words;
    const owner = options.text('owner');
    const visibility = oneOf('--visibility', options.text('visibility') ?? 'private', VISIBILITIES);
    return withManagement(context, async ({ projects }) => {
      const id = owner === undefined ? undefined : identityId(owner);
      const upstream = options.text('upstream');
      const passThrough = options.isSet('pass-through');
      const wanted = { name, visibility, owner: id, upstream, passThrough };
      const made = await projects.create(wanted, context.signal);
      context.print(`The project ${name} is made, ${visibility}.`);
      if (made.upstream) {
        context.print(`Pull images of ${made.upstream.url} as <mirror>/${name}/<repository>.`);
        if (passThrough) {
          context.print("Private ones need an account for that address in the mirror's UPSTREAMS.");
        }
        return EXIT.fine;
      }
      context.print(`Push to <push service>/${name}/<repository>;`);
      context.print(`pull from there, or from the mirror as <mirror>/local/${name}/<repository>.`);
      return EXIT.fine;
    });
  },
};

const projectShow: StoreCommand = {
  name: 'project show',
  usage: '<name>',
  summary: 'show what is said of a project',
  help: `What a project takes is counted from the store, each distinct blob and manifest once: that takes a moment for large ones.

Exit code: 0 shown, 2 not.`,
  run: (context) => {
    const [name = ''] = commandOptions(context.args, { words: [1, 1] }).words;
    return withManagement(context, async ({ projects }) => {
      const project = await projects.require(name, context.signal);
      const usage = await projects.usage(name, context.signal);
      for (const line of described(project, usage)) context.print(line);
      return EXIT.fine;
    });
  },
};

const projectSet: StoreCommand = {
  name: 'project set',
  usage:
    '<name> [--visibility public|private] [--quota <size>|none] [--immutable-tags <globs>] [--root-path yes|no|default] [--pass-through yes|no]',
  audits: changesRight,
  summary: 'change what is said of a project',
  help: `--visibility: whether everybody may pull, or members alone.
--quota: what its blobs and manifests may take together, each counted once, for example 10GiB; pushes that do not fit are
refused, and what is there stays. none takes it back.
--immutable-tags: tags that are neither moved nor deleted once they exist, separated by commas, with * for any
characters; an empty text takes the rules back.
--root-path: whether the mirror serves the project under its bare name, before Docker Hub; default is as
MIRROR_LOCAL_PROJECTS says. Under local/<name> it is always served.
--pass-through: for a cache of another registry, as for \`twinport project create\`.
Every process follows within 30 seconds.

Exit code: 0 changed, 2 not.`,
  run: (context) => {
    const options = commandOptions(
      context.args,
      { words: [1, 1] },
      {
        ...{ visibility: 'text', quota: 'text', 'immutable-tags': 'text' },
        ...{ 'root-path': 'text', 'pass-through': 'text' },
      },
    );
    const [name = ''] = options.words;
    const visibility = options.text('visibility');
    const tags = options.text('immutable-tags')?.split(',').filter(Boolean);
    const rootPath = options.text('root-path');
    const quota = options.text('quota');
    const passing = options.text('pass-through');
    if ([visibility, tags, rootPath, quota, passing].every((option) => option === undefined)) {
      throw new CommandError(
        'say what to change: --visibility, --quota, --immutable-tags, --root-path or --pass-through',
      );
    }
    const settings = {
      ...(visibility !== undefined && {
        visibility: oneOf('--visibility', visibility, VISIBILITIES),
      }),
      ...(quota !== undefined && { quotaBytes: quota === 'none' ? undefined : byteSize(quota) }),
      ...(tags && { immutableTags: tags.length > 0 ? tags : undefined }),
      ...(rootPath !== undefined && {
        rootPath: { yes: true, no: false, default: undefined }[
          oneOf('--root-path', rootPath, ['yes', 'no', 'default'] as const)
        ],
      }),
      ...(passing !== undefined && {
        passThrough: oneOf('--pass-through', passing, ['yes', 'no']) === 'yes' || undefined,
      }),
    };
    return withManagement(context, async ({ projects }) => {
      await projects.set(name, settings, context.signal);
      context.print(`The project ${name} is changed.`);
      return EXIT.fine;
    });
  },
};

const projectMembers: StoreCommand = {
  name: 'project members',
  usage: '<name> [<member> <role>|none] [--group]',
  audits: (args) => (args.length > 1 ? 'change-right' : undefined),
  summary: 'list the members of a project, or give one a role',
  help: `Roles: guest pulls, developer pulls and pushes, maintainer deletes as well, admin is a maintainer who decides about the
project. none takes the role away. A member is written as for \`twinport project create\`; with --group it is a group,
<source>:<group>.

Exit code: 0 done, 2 not.`,
  run: (context) => {
    const options = commandOptions(context.args, { words: [1, 3] }, { group: 'flag' });
    const [name = '', member, word] = options.words;
    if (member !== undefined && word === undefined) {
      throw new CommandError(`say the role: ${PROJECT_ROLES.join(', ')} or none`);
    }
    return withManagement(context, async ({ projects }) => {
      if (member !== undefined) {
        const named = oneOf('a role', word ?? '', [...PROJECT_ROLES, 'none'] as const);
        const role: ProjectRole | undefined = named === 'none' ? undefined : named;
        const holder = options.isSet('group') ? { group: member } : { id: identityId(member) };
        await projects.setRole(name, holder, role, context.signal);
      }
      const lines = membersOf(await projects.require(name, context.signal));
      if (lines.length === 0) context.print(`The project ${name} has no members.`);
      for (const line of lines) context.print(line);
      return EXIT.fine;
    });
  },
};

const projectDelete: StoreCommand = {
  name: 'project delete',
  usage: '<name>',
  audits: changesRight,
  summary: 'delete a project that has no images any more',
  help: `Takes half a minute, in which every process learns that nothing is pushed to it any more. Its robots go with it. Tokens for
it are good for nothing afterwards, even when a project of the same name is made again. With the project its name is
free: at the mirror it may mean a repository of Docker Hub then.

Exit code: 0 deleted, 2 not.`,
  run: (context) => {
    const [name = ''] = commandOptions(context.args, { words: [1, 1] }).words;
    return withManagement(context, async ({ projects, redis }) => {
      context.printError('Waiting half a minute until every process has seen it.');
      const { upstream } = await projects.require(name, context.signal);
      await projects.delete(name, context.signal);
      if (upstream && redis && !(await redis.forgetAll())) {
        throw new CommandError(
          'the project is deleted, but Redis does not answer: run `twinport index rebuild` when it does',
        );
      }
      context.print(`The project ${name} is deleted.`);
      return EXIT.fine;
    });
  },
};

const projectRename: StoreCommand = {
  name: 'project rename',
  usage: '<name> <new name>',
  audits: changesRight,
  summary: 'give a project another name, with all that was pushed to it',
  help: `For a project of an adopted bucket whose name means something else at the mirror (library, an upstream's name), or any
other. Takes half a minute and then as long as its links take to copy; no blob is copied. Meanwhile both names take no
pushes and the old one is pulled as before; afterwards the old one is unknown. Settings, members and robots go along
(robot$<name>+ci becomes robot$<new name>+ci, with its secret). When it broke off, the same command finishes it.
Blocks and pins that name the old one are not changed.

Exit code: 0 renamed, 2 not.`,
  run: (context) => {
    const [from = '', to = ''] = commandOptions(context.args, { words: [2, 2] }).words;
    return withManagement(context, async ({ renaming }) => {
      context.printError('Waiting half a minute until every process has seen it.');
      const moved = await renaming.rename({ from, to }, context.signal);
      for (const repository of moved) context.print(repository);
      context.print(`The project ${from} is ${to} now.`);
      return EXIT.fine;
    });
  },
};

function described(project: ProjectRecord, usage: ProjectUsage): string[] {
  const { name, createdAt, createdBy, visibility, immutableTags = [], rootPath } = project;
  const { quotaBytes, upstream } = project;
  return [
    `Name: ${name}`,
    `Made: ${createdAt}${createdBy === undefined ? '' : ` by ${createdBy}`}`,
    `Visibility: ${visibility ?? 'public'}`,
    ...(upstream ? [`Caches: ${upstream.url}`, `Private images: ${privateImages(upstream)}`] : []),
    `Quota: ${quotaBytes === undefined ? 'none' : formatByteSize(quotaBytes)}`,
    `Takes: ${formatByteSize(usage.bytes)} in ${usage.blobs} blobs and manifests`,
    `Immutable tags: ${immutableTags.length === 0 ? 'none' : immutableTags.join(', ')}`,
    `At the mirror's root path: ${rootPath === undefined ? 'as MIRROR_LOCAL_PROJECTS says' : rootPath ? 'yes' : 'no'}`,
    ...membersOf(project).map((line) => `Member: ${line}`),
  ];
}

function privateImages({
  isConfigured,
  passThrough,
}: NonNullable<ProjectRecord['upstream']>): string {
  if (isConfigured) return "as the mirror's UPSTREAMS says";
  return passThrough ? 'passed on to those who may pull' : 'refused';
}

const membersOf = ({ members = [], groups = [] }: ProjectRecord): string[] => [
  ...members.map(({ id, role }) => `${id}  ${role}`),
  ...groups.map(({ group, role }) => `group ${group}  ${role}`),
];

/** A bare name is a user of this registry. */
const identityId = (member: string): string => (member.includes(':') ? member : `local:${member}`);

function oneOf<Word extends string>(what: string, word: string, words: readonly Word[]): Word {
  const found = words.find((one) => one === word);
  if (found !== undefined) return found;
  throw new CommandError(`${what} is one of ${words.join(', ')}`);
}

export const PROJECT_COMMANDS: readonly StoreCommand[] = [
  projectList,
  projectCreate,
  projectShow,
  projectSet,
  projectMembers,
  projectRename,
  projectDelete,
];
