import { OPEN_ACCESS } from '../../shared/auth/access.ts';
import type { MirrorConfig } from '../../shared/config/config.ts';
import { DeletingMarks } from '../../shared/content/removal/deleting-marks.ts';
import { hastened, REMOVAL_TIMING } from '../../shared/content/removal/removal-timing.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { armCrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { UNOBSERVED } from '../../shared/observability/observer.ts';
import type { CacheEviction, SurveyedCache } from '../mirror/eviction/cache-eviction.ts';
import { createCacheEviction } from '../mirror/eviction/create-cache-upkeep.ts';
import { CommandError, type CommandContext, EXIT, type StoreCommand } from './command.ts';
import { openRedis } from './open-redis.ts';
import { requireRegistryStore } from './require-registry-store.ts';

const DRY_RUN = '--dry-run';

export const evict: StoreCommand = {
  name: 'evict',
  usage: `[${DRY_RUN}]`,
  summary: 'hold the cache against its budget now, or say what would go',
  help: `Evicts the longest unused cached images until the cache is within its budget (CACHE_MAX_BYTES, and cacheBytes of an
upstream), as a running mirror does by itself. It takes a minute or two, in which everything may go on.
It needs the configuration of the mirror, RUN_AS_MIRROR=true and REDIS_URL, if the mirror has one, among it.
${DRY_RUN} lists what would go, the longest unused first, and writes nothing.

Exit code: 0 done, 1 the budget cannot be kept: the rest is pinned or was used too lately, 2 not done.`,
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { args, config, stores, signal } = context;
  const isDryRun = args[0] === DRY_RUN;
  if (args.length > (isDryRun ? 1 : 0)) throw new CommandError(`it takes ${DRY_RUN} alone`);
  if (config.role !== 'mirror') {
    throw new CommandError('the cache is the mirror’s: set RUN_AS_MIRROR=true and its variables');
  }
  if (config.crashPoint !== undefined) armCrashPoint(config.crashPoint);
  await requireRegistryStore(context);
  const stored = createStoreIndex(stores.records, systemClock);
  const shutdown = new AbortController();
  const redis =
    config.redisUrl === undefined || isDryRun
      ? undefined
      : await openRedis(context, config.redisUrl, stored, shutdown.signal);
  try {
    const eviction = openEviction(context, config, redis ?? stored, stored);
    if (eviction.budgets.length === 0) {
      throw new CommandError('there is no budget: set CACHE_MAX_BYTES, or cacheBytes in UPSTREAMS');
    }
    const surveyed = await eviction.survey(signal);
    report(context, surveyed, isDryRun);
    if (!isDryRun) {
      const { images, blobs, bytes } = await eviction.run(signal);
      context.print(
        `Evicted ${images} images; ${blobs} blobs and manifests, ${bytes} bytes, are removed.`,
      );
    }
    return surveyed.plan.unmet.length > 0 ? EXIT.found : EXIT.fine;
  } finally {
    shutdown.abort();
    await redis?.close();
  }
}

function openEviction(
  { stores, log, signal }: CommandContext,
  config: MirrorConfig,
  index: ReturnType<typeof createStoreIndex>,
  stored: ReturnType<typeof createStoreIndex>,
): CacheEviction {
  const { records, blobs } = stores;
  const timing = hastened(REMOVAL_TIMING, config.removalHaste);
  const marks = new DeletingMarks({ records, clock: systemClock, timing, lifetime: signal });
  const eviction = createCacheEviction(
    {
      records,
      blobs,
      index,
      removal: { marks, timing, blobs, stored },
      access: OPEN_ACCESS,
      clock: { ...systemClock, sleep: sleepAwake },
      log,
      observer: UNOBSERVED,
      shutdown: signal,
    },
    config,
  );
  if (!eviction) throw new CommandError('this store cannot be evicted from');
  return eviction;
}

/** The clock's own sleep keeps no process alive. */
async function sleepAwake(ms: number, signal: AbortSignal): Promise<void> {
  const awake = setTimeout(() => undefined, ms);
  try {
    await systemClock.sleep(ms, signal);
  } finally {
    clearTimeout(awake);
  }
}

function report({ print }: CommandContext, found: SurveyedCache, isDryRun: boolean): void {
  const { plan, heldBytes, heldByProject, leftBytes } = found;
  print(`The cache holds ${heldBytes} bytes.`);
  for (const [project, bytes] of heldByProject) print(`  ${project}  ${bytes}`);
  if (isDryRun) {
    for (const { kind, repository, digest, tags, lastUsed } of plan.units) {
      const name = `${repository}${tags.length > 0 ? `:${tags.join(',')}` : ''}@${digest}`;
      print(`would go: ${kind} ${name}, last used ${lastUsed.toISOString()}`);
    }
    print(`Would evict ${plan.units.length} images and blobs; ${leftBytes} bytes would be left.`);
  }
  for (const { budget, overBytes } of plan.unmet) {
    const whose = budget.project ?? 'the cache';
    print(
      `The budget of ${whose} is missed by ${overBytes} bytes: the rest is pinned or was used too lately.`,
    );
  }
}
