import { CacheAdoption } from '../../shared/content/cache-adoption.ts';
import { findUpstream } from '../../shared/content/upstream-entry.ts';
import { armCrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { foreignProxyCacheKey } from '../../shared/storage/object-keys.ts';
import { describeStore } from '../stores/describe-store.ts';
import { CommandError, type CommandContext, EXIT, type StoreCommand } from './command.ts';
import { requireRegistryStore } from './require-registry-store.ts';

const DRY_RUN = '--dry-run';

export const adoptCache: StoreCommand = {
  name: 'adopt-cache',
  summary: "take over the store of registry:2's pull-through cache, in place",
  usage: `[${DRY_RUN}] [UPSTREAM]`,
  help: `Makes the store of a CNCF distribution registry with a "proxy" section (registry:2, registry:3) the cache
of one upstream of this mirror: the default one (docker.io, or what UPSTREAM_URL names), or the one whose
project or host is given. Each repository moves under the upstream's name; only links are written, blobs
stay where they are. Nothing of it is served before the upstream has shown the repository to anybody:
the other registry may have fetched it with an account.

Stop the other registry first. What is stopped half-way goes on when it is run again; a store that has
been taken over is left as it is. ${DRY_RUN} tells what would be done, and writes nothing.

Exit code: 0 done, or nothing to do; 1 some names cannot be taken over and are listed; 2 not done.`,
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { args, config, stores, signal, print } = context;
  const isDry = args.includes(DRY_RUN);
  const [name, ...more] = args.filter((argument) => argument !== DRY_RUN);
  if (more.length > 0 || name?.startsWith('-') === true) {
    throw new CommandError(`takes ${DRY_RUN} and one upstream, not "${args.join(' ')}"`);
  }
  const upstream =
    name === undefined ? config.defaultUpstream : findUpstream(config.upstreams, name);
  if (!upstream) throw new CommandError(`there is no upstream "${name ?? ''}" (UPSTREAMS)`);
  await requireRegistryStore(context);
  const { records } = stores;
  if (config.crashPoint !== undefined) armCrashPoint(config.crashPoint);
  const store = describeStore(config.storage);
  if ((await records.get(foreignProxyCacheKey, signal)) === undefined) {
    print(
      `${store} is not the cache of another registry (it has no ${foreignProxyCacheKey}): nothing to do.`,
    );
    return EXIT.fine;
  }
  const adoption = new CacheAdoption(records, upstream);
  let count = 0;
  const left: string[] = [];
  for await (const { from, to } of adoption.run(isDry, signal)) {
    if (to === undefined) left.push(from);
    else {
      count += 1;
      print(`${from} -> ${to}`);
    }
  }
  for (const from of left) {
    context.printError(
      `${from}: its name would be too long under ${upstream.project}/; it is left out`,
    );
  }
  print(
    `${isDry ? 'Would take' : 'Took'} over ${count} repositories of ${upstream.url} in ${store}. ` +
      'Each is served once the upstream has shown it to anybody.',
  );
  return left.length === 0 ? EXIT.fine : EXIT.found;
}
