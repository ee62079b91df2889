import { setTimeout as delay } from 'node:timers/promises';

import { distrustStoredKeys, rotateStoredKeys } from '../../shared/auth/tokens/stored-keys.ts';
import { type Clock, systemClock } from '../../shared/lifecycle/clock.ts';
import {
  type CommandContext,
  CommandError,
  EXIT,
  makesSecret,
  type StoreCommand,
} from './command.ts';
import { commandOptions } from './command-options.ts';
import { requireRegistryStore } from './require-registry-store.ts';

/** Nothing but its waiting keeps the command alive. */
const patientClock: Clock = {
  ...systemClock,
  sleep: async (ms, signal) => {
    await delay(ms, undefined, { signal });
  },
};

export const tokenRotateKey: StoreCommand = {
  name: 'token rotate-key',
  usage: '[--distrust]',
  audits: makesSecret,
  summary: 'sign tokens with a new key',
  help: `Makes a new key in the store, waits for half a minute until it signs, and retires the others: they sign no more, and the
tokens that they signed are good until they lapse. With --distrust, for a key that somebody else may have, the others are
removed at once, and what they signed is refused within two minutes. Running servers need not be started again. With AUTH_TOKEN_KEY_FILE the
keys are in that file: put a new one before the old one there, and take the old one out when its tokens have lapsed.

Exit code: 0 done, 2 not.`,
  run: async (context: CommandContext) => {
    const { auth } = context.config;
    if ('tokens' in auth && auth.tokens.keyFile !== undefined) {
      throw new CommandError(
        'the keys are in AUTH_TOKEN_KEY_FILE, not in the store: change that file',
      );
    }
    const options = commandOptions(context.args, { words: [0, 0] }, { distrust: 'flag' });
    await requireRegistryStore(context);
    const change = options.isSet('distrust') ? distrustStoredKeys : rotateStoredKeys;
    const kid = await change(context.stores.records, patientClock, context.signal);
    context.print(`Tokens are signed with the new key ${kid}.`);
    return EXIT.fine;
  },
};
