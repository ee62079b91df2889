import { randomBytes } from 'node:crypto';

import {
  changesRight,
  type CommandContext,
  CommandError,
  EXIT,
  type StoreCommand,
} from './command.ts';
import { commandOptions, type CommandOptions } from './command-options.ts';
import { withManagement } from './with-management.ts';

const PASSWORD_HELP = `The password is the first line of the file (- is standard input), at least 8 characters and at most 72 bytes.
Without a file a random one is made and printed, once.`;

const userAdd: StoreCommand = {
  name: 'user add',
  usage: '<name> [--admin] [--password-file <file>]',
  audits: changesRight,
  summary: 'make an account for a person',
  help: `${PASSWORD_HELP} An administrator may do everything to every project.

Exit code: 0 made, 2 not.`,
  run: (context) => {
    const options = commandOptions(
      context.args,
      { words: [1, 1] },
      { admin: 'flag', 'password-file': 'text' },
    );
    const [name = ''] = options.words;
    const { password, isMade } = choosePassword(context, options);
    return withManagement(context, async ({ users }) => {
      const isAdmin = options.isSet('admin');
      await users.add({ name, password, isAdmin, mustChange: false }, context.signal);
      context.print(`The user ${name} is made${isAdmin ? ', an administrator' : ''}.`);
      if (isMade) context.print(`Password: ${password}`);
      return EXIT.fine;
    });
  },
};

const userPasswd: StoreCommand = {
  name: 'user passwd',
  usage: '<name> [--password-file <file>]',
  audits: changesRight,
  summary: 'give a person another password',
  help: `${PASSWORD_HELP} The one before opens nothing any more within 30 seconds.

Exit code: 0 changed, 2 not.`,
  run: (context) => {
    const options = commandOptions(context.args, { words: [1, 1] }, { 'password-file': 'text' });
    const [name = ''] = options.words;
    const { password, isMade } = choosePassword(context, options);
    return withManagement(context, async ({ users }) => {
      await users.setPassword(name, password, { mustChange: false }, context.signal);
      context.print(`The password of ${name} is changed.`);
      if (isMade) context.print(`Password: ${password}`);
      return EXIT.fine;
    });
  },
};

const userList: StoreCommand = {
  name: 'user list',
  summary: 'list the accounts of people',
  help: 'One line each: when it was made, the name, what is special about it.\n\nExit code: 0 listed, 2 not.',
  run: (context) =>
    withManagement(context, async ({ users }) => {
      const all = await users.list(context.signal);
      if (all.length === 0) context.print('There are no users.');
      for (const user of all) {
        const remarks = [
          ...(user.isAdmin ? ['administrator'] : []),
          ...(user.disabled === true ? ['disabled'] : []),
          ...(user.mustChange === true ? ['has to get a password: twinport user passwd'] : []),
        ];
        context.print([user.createdAt, user.name, remarks.join(', ')].join('  ').trimEnd());
      }
      return EXIT.fine;
    }),
};

const userPeople: StoreCommand = {
  name: 'user people',
  summary: 'list the people of a directory or a provider who have signed in',
  help: `One line each: when he signed in last, the id that has his rights, the name, what is special about him.

Exit code: 0 listed, 2 not.`,
  run: (context) =>
    withManagement(context, async ({ people }) => {
      const all = await people.list(context.signal);
      if (all.length === 0) context.print('Nobody of another source has signed in.');
      for (const { identity, signedInAt, isLocked } of all) {
        const remarks = [
          ...(identity.isAdmin ? ['administrator'] : []),
          ...(isLocked ? ['disabled'] : []),
        ].join(', ');
        context.print([signedInAt, identity.id, identity.name, remarks].join('  ').trimEnd());
      }
      return EXIT.fine;
    }),
};

const userDisable: StoreCommand = {
  name: 'user disable',
  usage: '<name> [--undo]',
  audits: changesRight,
  summary: 'lock a person out, or with --undo let him in again',
  help: `The account stays, with its places in projects. Tokens that were issued to it live on until they expire.
People of a directory or a provider are named by their id: ldap:bob, oidc:<issuer>#<subject> (user people).

Exit code: 0 done, 2 not.`,
  run: (context) => {
    const options = commandOptions(context.args, { words: [1, 1] }, { undo: 'flag' });
    const [name = ''] = options.words;
    const isDisabled = !options.isSet('undo');
    return withManagement(context, async ({ users, people }) => {
      // Names of users have no colon.
      if (/^(?:ldap|oidc):./.test(name)) {
        await people.setLocked(name, isDisabled, context.signal);
      } else {
        await users.setDisabled(name, isDisabled, context.signal);
      }
      context.print(`The user ${name} is ${isDisabled ? 'locked out' : 'let in again'}.`);
      return EXIT.fine;
    });
  },
};

const userAdmin: StoreCommand = {
  name: 'user admin',
  usage: '<name> [--undo]',
  audits: changesRight,
  summary: 'make a person an administrator, or with --undo no more',
  help: 'An administrator may do everything to every project.\n\nExit code: 0 done, 2 not.',
  run: (context) => {
    const options = commandOptions(context.args, { words: [1, 1] }, { undo: 'flag' });
    const [name = ''] = options.words;
    const isAdmin = !options.isSet('undo');
    return withManagement(context, async ({ users }) => {
      await users.setAdmin(name, isAdmin, context.signal);
      context.print(`The user ${name} is ${isAdmin ? 'an administrator' : 'no administrator'}.`);
      return EXIT.fine;
    });
  },
};

function choosePassword(
  { readFile }: CommandContext,
  options: CommandOptions,
): { readonly password: string; readonly isMade: boolean } {
  const file = options.text('password-file');
  if (file === undefined) return { password: randomBytes(18).toString('base64url'), isMade: true };
  let content: string;
  try {
    content = readFile(file);
  } catch (error) {
    throw new CommandError(`the file ${file} cannot be read`, { cause: error });
  }
  return { password: content.split(/\r?\n/, 1)[0] ?? '', isMade: false };
}

export const USER_COMMANDS: readonly StoreCommand[] = [
  userAdd,
  userList,
  userPeople,
  userPasswd,
  userDisable,
  userAdmin,
];
