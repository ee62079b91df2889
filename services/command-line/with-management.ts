import { UpstreamTable } from '../../shared/content/upstream-table.ts';
import type { Leases } from '../../shared/index/ports.ts';
import type { RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { People } from '../../shared/management/people.ts';
import { ProjectAdministration } from '../../shared/management/project-administration.ts';
import { ProjectRename } from '../../shared/management/project-rename.ts';
import { Robots } from '../../shared/management/robots.ts';
import { Users } from '../../shared/management/users.ts';
import { ownFolder } from '../../shared/storage/object-keys.ts';
import { CommandError, type CommandContext } from './command.ts';
import { describeStore } from '../stores/describe-store.ts';
import { openRedis } from './open-redis.ts';

/** How long Redis is waited for before what takes a lease is tried without. */
const LEASE_PATIENCE_MS = 2_000;
const LEASE_RETRY_MS = 50;

export interface CommandManagement {
  readonly projects: ProjectAdministration;
  readonly renaming: ProjectRename;
  readonly users: Users;
  readonly people: People;
  readonly robots: Robots;
  /** Set where the service has a Redis. */
  readonly redis: RedisIndex | undefined;
}

/** Gives the work what it changes records with, over the store and the Redis of the environment, and closes that. */
export async function withManagement(
  context: CommandContext,
  work: (management: CommandManagement) => Promise<number>,
): Promise<number> {
  await requireStarted(context);
  const { config, stores } = context;
  const { records, exclusive } = stores;
  const stored = createStoreIndex(records, systemClock);
  const shutdown = new AbortController();
  const redis =
    config.redisUrl === undefined
      ? undefined
      : await openRedis(context, config.redisUrl, stored, shutdown.signal);
  const index = redis ?? stored;
  // The clock's sleep keeps no process alive.
  const awake = setInterval(() => undefined, 60_000);
  try {
    if (redis) await untilLeasesReach(redis.leases, context.signal);
    const deps = { records, exclusive, leases: index.leases, clock: systemClock };
    const table = new UpstreamTable(records, config.upstreams, systemClock);
    const robots = new Robots(deps);
    const common = {
      ...deps,
      index,
      robots,
      upstreams: (signal: AbortSignal) => table.entries(signal),
      rules: { isDottedReserved: config.role !== 'push' || config.isDottedReserved },
    };
    const { blobs, uploads } = stores;
    const projects = new ProjectAdministration({ ...common, blobs });
    const renaming = new ProjectRename({ ...common, uploads });
    const people = new People(records, systemClock);
    return await work({ projects, renaming, users: new Users(deps), people, robots, redis });
  } finally {
    clearInterval(awake);
    shutdown.abort();
    await redis?.close();
  }
}

/** A mistyped folder or bucket must not become a store with users. */
async function requireStarted({ config, stores, signal }: CommandContext): Promise<void> {
  const store = describeStore(config.storage);
  let children;
  try {
    children = await stores.records.list(ownFolder, { limit: 1 }, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new CommandError(`${store} cannot be read`, { cause: error });
  }
  if (children.length > 0) return;
  throw new CommandError(
    `no registry was started over ${store} yet. The commands read the same variables as the service (DATA_DIR, S3_BUCKET, S3_PREFIX, …)`,
  );
}

async function untilLeasesReach(leases: Leases, signal: AbortSignal): Promise<void> {
  const deadline = systemClock.monotonicMs() + LEASE_PATIENCE_MS;
  while (systemClock.monotonicMs() < deadline) {
    const lease = await leases.acquire('command-line', 0, signal);
    const reach = lease?.reach;
    await lease?.release();
    if (lease === undefined || reach === 'store') return;
    await systemClock.sleep(LEASE_RETRY_MS, signal);
  }
}
