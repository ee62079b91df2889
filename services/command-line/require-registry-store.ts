import { repositoriesFolder } from '../../shared/storage/object-keys.ts';
import { describeStore } from '../stores/describe-store.ts';
import { CommandError, type CommandContext } from './command.ts';

/**
 * Makes sure that there is a registry in the configured store, without writing: a mistyped folder or bucket must not
 * pass for an empty registry. Throws CommandError.
 */
export async function requireRegistryStore(context: CommandContext): Promise<void> {
  const { config, stores, signal } = context;
  const store = describeStore(config.storage);
  let children;
  try {
    children = await stores.records.list(repositoriesFolder, { limit: 1 }, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new CommandError(`${store} cannot be read`, { cause: error });
  }
  if (children.length > 0) return;
  throw new CommandError(
    `there is no registry in ${store}: nothing lies under ${repositoriesFolder}/. ` +
      'The commands read the same variables as the service (DATA_DIR, S3_BUCKET, S3_PREFIX, …)',
  );
}
