import { formatRobotName, ROBOT_ACTIONS } from '../../shared/management/robots.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import {
  changesRight,
  CommandError,
  EXIT,
  makesSecret,
  revokesSecret,
  type StoreCommand,
} from './command.ts';
import { commandOptions } from './command-options.ts';
import { withManagement } from './with-management.ts';

const DAY_MS = 24 * 3600 * 1000;
const MAX_DAYS = 3650;

const robotAdd: StoreCommand = {
  name: 'robot add',
  usage: '<project> <name> --rights <pull,push,delete> [--days <n>]',
  audits: makesSecret,
  summary: 'make an account for a program, for one project',
  help: `Prints the user name and the secret for \`docker login\`; the secret is kept nowhere and cannot be shown again.
With --days it opens nothing any more after so many days.

Exit code: 0 made, 2 not.`,
  run: (context) => {
    const options = commandOptions(
      context.args,
      { words: [2, 2] },
      { rights: 'text', days: 'text' },
    );
    const [project = '', name = ''] = options.words;
    const actions = rightsOf(options.text('rights'));
    const expiresAt = expiryOf(options.text('days'));
    return withManagement(context, async ({ projects, robots }) => {
      const record = await projects.require(project, context.signal);
      const robot = { name, actions, expiresAt, createdBy: undefined };
      const secret = await robots.add(record, robot, context.signal);
      context.print(`User name: ${formatRobotName({ project, name })}`);
      context.print(`Secret: ${secret}`);
      if (expiresAt) context.print(`Expires: ${expiresAt.toISOString()}`);
      return EXIT.fine;
    });
  },
};

const robotList: StoreCommand = {
  name: 'robot list',
  usage: '<project>',
  summary: 'list the robots of a project',
  help: 'One line each: the user name, its rights, when it was last used, what is special about it.\n\nExit code: 0 listed, 2 not.',
  run: (context) => {
    const [project = ''] = commandOptions(context.args, { words: [1, 1] }).words;
    return withManagement(context, async ({ projects, robots }) => {
      await projects.require(project, context.signal);
      const all = await robots.list(project, context.signal);
      if (all.length === 0) context.print(`The project ${project} has no robots.`);
      for (const robot of all) {
        const used = await robots.lastUse(robot, context.signal);
        const isExpired = (robot.expiresAt ?? '9') <= systemClock.now().toISOString();
        const remarks = [
          ...(robot.disabled === true ? ['disabled'] : []),
          ...(robot.expiresAt === undefined
            ? []
            : [`${isExpired ? 'expired' : 'expires'} ${robot.expiresAt}`]),
        ];
        const use = used ? `used ${used.toISOString()}` : 'never used';
        const fields = [formatRobotName(robot), robot.actions.join(','), use, remarks.join(', ')];
        context.print(fields.join('  ').trimEnd());
      }
      return EXIT.fine;
    });
  },
};

const robotRotate: StoreCommand = {
  name: 'robot rotate',
  usage: '<project> <name>',
  audits: makesSecret,
  summary: 'give a robot another secret',
  help: 'The secret before opens nothing any more within 30 seconds.\n\nExit code: 0 done, 2 not.',
  run: (context) => {
    const [project = '', name = ''] = commandOptions(context.args, { words: [2, 2] }).words;
    return withManagement(context, async ({ robots }) => {
      const secret = await robots.rotate({ project, name }, context.signal);
      context.print(`User name: ${formatRobotName({ project, name })}`);
      context.print(`Secret: ${secret}`);
      return EXIT.fine;
    });
  },
};

const robotDisable: StoreCommand = {
  name: 'robot disable',
  usage: '<project> <name> [--undo]',
  audits: changesRight,
  summary: 'lock a robot out, or with --undo let it in again',
  help: 'It opens nothing any more within 30 seconds; tokens that were issued to it live on until they expire.\n\nExit code: 0 done, 2 not.',
  run: (context) => {
    const options = commandOptions(context.args, { words: [2, 2] }, { undo: 'flag' });
    const [project = '', name = ''] = options.words;
    const isDisabled = !options.isSet('undo');
    return withManagement(context, async ({ robots }) => {
      await robots.setDisabled({ project, name }, isDisabled, context.signal);
      const robot = formatRobotName({ project, name });
      context.print(`${robot} is ${isDisabled ? 'locked out' : 'let in again'}.`);
      return EXIT.fine;
    });
  },
};

const robotRemove: StoreCommand = {
  name: 'robot remove',
  usage: '<project> <name>',
  audits: revokesSecret,
  summary: 'remove a robot',
  help: 'Exit code: 0 removed, 1 there was none, 2 not done.',
  run: (context) => {
    const [project = '', name = ''] = commandOptions(context.args, { words: [2, 2] }).words;
    return withManagement(context, async ({ robots }) => {
      const isRemoved = await robots.remove({ project, name }, context.signal);
      const robot = formatRobotName({ project, name });
      context.print(isRemoved ? `${robot} is removed.` : `There is no ${robot}.`);
      return isRemoved ? EXIT.fine : EXIT.found;
    });
  },
};

function rightsOf(text: string | undefined): ('pull' | 'push' | 'delete')[] {
  const words = (text ?? '').split(',').filter((word) => word !== '');
  const rights = ROBOT_ACTIONS.filter((action) => words.includes(action));
  if (rights.length > 0 && rights.length === new Set(words).size) return rights;
  throw new CommandError('--rights takes some of pull,push,delete, separated by commas');
}

function expiryOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS) {
    throw new CommandError(`--days takes a whole number from 1 to ${MAX_DAYS}`);
  }
  return new Date(systemClock.now().getTime() + days * DAY_MS);
}

export const ROBOT_COMMANDS: readonly StoreCommand[] = [
  robotAdd,
  robotList,
  robotRotate,
  robotDisable,
  robotRemove,
];
