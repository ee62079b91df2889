import type { Config } from '../../shared/config/config.ts';
import { askStore } from '../../shared/content/store-probe.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { Health, type StoreTraits } from '../../shared/observability/health.ts';
import type { Logger } from '../../shared/observability/logger.ts';
import type { Metrics } from '../../shared/observability/metrics.ts';
import type { Observer } from '../../shared/observability/observer.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';

export interface RoleWatchOptions {
  readonly records: RecordStore;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Told {
  degraded(): Promise<readonly string[]>;
  storeTraits(): StoreTraits | undefined;
}

/** A role that can be watched, before it serves and until it has ended. */
export interface RoleWatch {
  readonly config: Config;
  readonly log: Logger;
  readonly observer: Observer;
  readonly health: Health;
  /** From here on readiness tells what these say. */
  watch(told: Told): void;
}

export function createRoleWatch(config: Config, options: RoleWatchOptions): RoleWatch {
  const { records, metrics, clock } = options;
  let watched: Told | undefined;
  return {
    config,
    log: options.log.with({ role: config.role }),
    observer: metrics.observer(config.role),
    health: new Health({
      clock,
      probeStore: (signal) => askStore(records, signal),
      degraded: () => watched?.degraded() ?? Promise.resolve([]),
      storeTraits: () => watched?.storeTraits(),
    }),
    watch: (told) => {
      watched = told;
    },
  };
}
