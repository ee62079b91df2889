import { PatternRecords, PINNED } from '../../shared/content/pattern-records.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type CommandContext, EXIT, type StoreCommand } from './command.ts';
import { patternArguments } from './pattern-arguments.ts';
import { printPatterns } from './print-patterns.ts';
import { requireRegistryStore } from './require-registry-store.ts';

export const pin: StoreCommand = {
  name: 'pin',
  usage: '<reference> [--reason <text>]',
  summary: 'keep cached images from being evicted',
  help: `Cached manifests that the reference means stay in the cache whatever its budget says, with their blobs; with an
image index its cached children. * stands for any characters: docker.io/library/node:22*, ghcr.io/org/*.
CACHE_PINS does the same in the configuration. What was pushed is never evicted and needs no pin.

Exit code: 0 pinned, 2 not.`,
  run: async (context) => {
    await requireRegistryStore(context);
    const { pattern, reason } = await patternArguments(context, { reason: true });
    await stored(context).add(pattern, reason, systemClock, context.signal);
    context.print(`${pattern.text} is pinned.`);
    return EXIT.fine;
  },
};

export const unpin: StoreCommand = {
  name: 'unpin',
  usage: '<reference>',
  summary: 'take a pin back',
  help: `Takes the same reference as \`twinport pin\` did; \`twinport pins\` lists them.

Exit code: 0 taken back, 1 it was not pinned, 2 not done.`,
  run: async (context) => {
    await requireRegistryStore(context);
    const { pattern } = await patternArguments(context, { reason: false });
    const isRemoved = await stored(context).remove(pattern, context.signal);
    context.print(`${pattern.text} ${isRemoved ? 'is not pinned any more' : 'was not pinned'}.`);
    return isRemoved ? EXIT.fine : EXIT.found;
  },
};

export const pins: StoreCommand = {
  name: 'pins',
  summary: 'list what is pinned by `twinport pin`',
  help: 'One line each: when, what, why. Those of CACHE_PINS are not among them.\n\nExit code: 0 listed, 2 not.',
  run: async (context) => {
    await requireRegistryStore(context);
    printPatterns(await stored(context).list(context.signal), 'Nothing is pinned.', context.print);
    return EXIT.fine;
  },
};

const stored = ({ stores }: CommandContext): PatternRecords =>
  new PatternRecords(stores.records, PINNED);
