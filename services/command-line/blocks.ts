import { DENIED, PatternRecords } from '../../shared/content/pattern-records.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type CommandContext, EXIT, type StoreCommand } from './command.ts';
import { patternArguments } from './pattern-arguments.ts';
import { printPatterns } from './print-patterns.ts';
import { requireRegistryStore } from './require-registry-store.ts';

const WHAT = `A digest means that manifest or blob in every repository. <repository>[:<tag>][@<digest>] means one
repository, * stands for any characters: docker.io/library/node:*-alpine, ghcr.io/org/*, team/app.`;

export const block: StoreCommand = {
  name: 'block',
  usage: '<reference or digest> [--reason <text>]',
  summary: 'deny an image, a tag, a repository or a blob at once, pushed or cached',
  help: `Nobody can pull or push what is blocked: 403 DENIED with the reason, at the push service and at the mirror,
a few seconds after the command. Nothing is deleted, and nothing of it is fetched or stored any more.

${WHAT}
A blocked tag stays pullable by its digest; to withdraw an image for good, block its digest.

Exit code: 0 blocked, 2 not.`,
  run: async (context) => {
    await requireRegistryStore(context);
    const { pattern, reason } = await patternArguments(context, { reason: true });
    await stored(context).add(pattern, reason, systemClock, context.signal);
    context.print(`${pattern.text} is blocked.`);
    return EXIT.fine;
  },
};

export const unblock: StoreCommand = {
  name: 'unblock',
  usage: '<reference or digest>',
  summary: 'take a block back',
  help: `Takes the same reference or digest as \`twinport block\` did; \`twinport blocks\` lists them.

Exit code: 0 taken back, 1 it was not blocked, 2 not done.`,
  run: async (context) => {
    await requireRegistryStore(context);
    const { pattern } = await patternArguments(context, { reason: false });
    const isRemoved = await stored(context).remove(pattern, context.signal);
    context.print(`${pattern.text} ${isRemoved ? 'is not blocked any more' : 'was not blocked'}.`);
    return isRemoved ? EXIT.fine : EXIT.found;
  },
};

export const blocks: StoreCommand = {
  name: 'blocks',
  summary: 'list what is blocked',
  help: 'One line each: when, what, why.\n\nExit code: 0 listed, 2 not.',
  run: async (context) => {
    await requireRegistryStore(context);
    printPatterns(await stored(context).list(context.signal), 'Nothing is blocked.', context.print);
    return EXIT.fine;
  },
};

const stored = ({ stores }: CommandContext): PatternRecords =>
  new PatternRecords(stores.records, DENIED);
