import { ManifestStore } from '../../shared/content/manifest-store.ts';
import { Projects } from '../../shared/content/projects.ts';
import { rebuildReferrers, type ReferrerRebuild } from '../../shared/content/rebuild-referrers.ts';
import { checkStore } from '../../shared/content/store-check.ts';
import { publishedProjects } from '../../shared/content/upstream-table.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import type { RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { describeStore } from '../stores/describe-store.ts';
import { type StoreCommand, CommandError, type CommandContext, EXIT } from './command.ts';
import { openRedis } from './open-redis.ts';
import { requireRegistryStore } from './require-registry-store.ts';

/** How long Redis may take until it was told that its answers are void. */
const REDIS_PATIENCE_MS = 10_000;
const REDIS_RETRY_MS = 200;

export const indexRebuild: StoreCommand = {
  name: 'index rebuild',
  summary: 'make the index what the store says: referrers, projects, a cold Redis',
  help: `Rebuilds what lies beside the registry's layout and follows from it: the lists of referrers, by reading every
manifest; the records of projects; and the answers kept in Redis, which are forgotten. Run it after another
registry (registry:2, distribution v3, a restored backup) has written to the store. It may run beside the
service and as often as you like. REDIS_URL must be that of the service, if it has one.

Exit code: 0 done, 1 done, but some manifests cannot be read (they are listed), 2 not done.`,
  run,
};

async function run(context: CommandContext): Promise<number> {
  await requireRegistryStore(context);
  const { config, stores, signal } = context;
  // A proxy cache of another registry must be marked as one first: writing beside it would hide that.
  await checkStore(stores.records, signal);
  const stored = createStoreIndex(stores.records, systemClock);
  const shutdown = new AbortController();
  const redis =
    config.redisUrl === undefined
      ? undefined
      : await openRedis(context, config.redisUrl, stored, shutdown.signal);
  try {
    const projects = await adoptProjects(context, redis ?? stored);
    const rebuilt = await rebuildAll(context, stored, redis ?? stored);
    if (redis) await forgetAll(redis, signal);
    report(context, rebuilt, projects, redis !== undefined);
    return rebuilt.some(({ unreadable }) => unreadable.length > 0) ? EXIT.found : EXIT.fine;
  } finally {
    shutdown.abort();
    await redis?.close();
  }
}

/** Resolves with the number of projects that the store has afterwards. */
async function adoptProjects(
  { stores, signal }: CommandContext,
  index: RegistryIndex,
): Promise<number> {
  const { records } = stores;
  const { origins } = index;
  const projects = new Projects({ projects: index.projects, origins, records, clock: systemClock });
  const published = await publishedProjects(records, signal);
  return (await projects.adoptAll(published, signal)).length;
}

async function rebuildAll(
  { stores, signal }: CommandContext,
  stored: RegistryIndex,
  index: RegistryIndex,
): Promise<ReferrerRebuild[]> {
  const { records, blobs } = stores;
  const dependencies = {
    records,
    manifests: new ManifestStore(blobs, stored),
    members: stored.members,
    stored: stored.referrers,
    referrers: index.referrers,
  };
  const rebuilt: ReferrerRebuild[] = [];
  for (const repository of await stored.catalog.repositories(signal)) {
    rebuilt.push(await rebuildReferrers(repository, dependencies, signal));
  }
  return rebuilt;
}

async function forgetAll(redis: RedisIndex, signal: AbortSignal): Promise<void> {
  const deadline = systemClock.monotonicMs() + REDIS_PATIENCE_MS;
  while (!(await redis.forgetAll())) {
    if (systemClock.monotonicMs() > deadline) {
      throw new CommandError(
        'the store is rebuilt, but Redis (REDIS_URL) does not answer: what it remembers may be wrong. ' +
          'Run the command again when it answers',
      );
    }
    // The clock's sleep keeps no process alive, and nothing else may be open here.
    const awake = setTimeout(() => undefined, REDIS_RETRY_MS);
    await systemClock.sleep(REDIS_RETRY_MS, signal).finally(() => {
      clearTimeout(awake);
    });
  }
}

function report(
  { config, print }: CommandContext,
  rebuilt: readonly ReferrerRebuild[],
  projects: number,
  hasRedis: boolean,
): void {
  const sum = (field: 'manifests' | 'referrers' | 'added' | 'removed'): number =>
    rebuilt.reduce((total, counts) => total + counts[field], 0);
  const unreadable = rebuilt.flatMap((counts) => counts.unreadable);
  for (const line of unreadable) print(`cannot be read: ${line}`);
  print(`The index of ${describeStore(config.storage)} is rebuilt.`);
  print(`  repositories  ${rebuilt.length}`);
  print(`  manifests     ${sum('manifests')}, ${unreadable.length} of them cannot be read`);
  print(`  referrers     ${sum('referrers')}, ${sum('added')} added, ${sum('removed')} removed`);
  print(`  projects      ${projects}`);
  print(`  Redis         ${hasRedis ? 'begins anew' : 'none'}`);
}
