import { rotateStoredKeys } from '../../shared/auth/tokens/stored-keys.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import {
  type CommandContext,
  CommandError,
  EXIT,
  makesSecret,
  type StoreCommand,
} from './command.ts';
import { requireRegistryStore } from './require-registry-store.ts';

export const tokenRotateKey: StoreCommand = {
  name: 'token rotate-key',
  audits: makesSecret,
  summary: 'sign tokens with a new key',
  help: `Makes a new key in the store, which signs within a minute, and retires the others: they sign no more, and the tokens
that they signed are good until they lapse. Running servers need not be started again. With AUTH_TOKEN_KEY_FILE the
keys are in that file: put a new one before the old one there, and take the old one out when its tokens have lapsed.

Exit code: 0 done, 2 not.`,
  run: async (context: CommandContext) => {
    const { auth } = context.config;
    if ('tokens' in auth && auth.tokens.keyFile !== undefined) {
      throw new CommandError(
        'the keys are in AUTH_TOKEN_KEY_FILE, not in the store: change that file',
      );
    }
    await requireRegistryStore(context);
    const kid = await rotateStoredKeys(context.stores.records, systemClock, context.signal);
    context.print(`Tokens will be signed with the new key ${kid}.`);
    return EXIT.fine;
  },
};
