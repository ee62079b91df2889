import type { RegistryIndex } from '../../shared/index/ports.ts';
import { createRedisIndex, type RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { Metrics } from '../../shared/observability/metrics.ts';
import { VERSION } from '../version.ts';
import type { CommandContext } from './command.ts';

/** The index in Redis as the service has it; whoever opens it closes it. */
export async function openRedis(
  { config, stores, log }: CommandContext,
  url: string,
  inner: RegistryIndex,
  shutdown: AbortSignal,
): Promise<RedisIndex> {
  return await createRedisIndex({
    url,
    inner,
    records: stores.records,
    clock: systemClock,
    log,
    observer: new Metrics({ version: VERSION }).observer(),
    trustSeconds: config.indexTrustSeconds,
    commandMs: config.redisTimeoutMs,
    shutdown,
  });
}
