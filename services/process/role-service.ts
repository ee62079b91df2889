import type { LoadedConfig } from '../../shared/config/load-config.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { ShutdownPhase } from '../../shared/lifecycle/shutdown.ts';
import type { Logger } from '../../shared/observability/logger.ts';
import type { Metrics } from '../../shared/observability/metrics.ts';
import { createPlatform, type OpenPlatform } from '../platform/create-platform.ts';
import { openStores } from '../stores/open-stores.ts';
import type { OpenStores } from '../stores/opened-stores.ts';
import type { ProgramShare } from './program-share.ts';
import { createRoleWatch, type RoleWatch } from './role-watch.ts';
import { type RunningRole, startRole } from './start-role.ts';

export interface RoleServiceOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly share: ProgramShare;
  /** Other processes of this program listen at the same ports. */
  readonly sharesPorts: boolean;
}

const CLOSE_MS = 5000;

/** The roles of one process on their store: watched from the beginning, started, and ended however far they came. */
export class RoleService {
  readonly watches: readonly RoleWatch[];
  readonly #config: LoadedConfig;
  readonly #options: RoleServiceOptions;
  readonly #stores: OpenStores;
  readonly #running: RunningRole[] = [];
  #platform: OpenPlatform | undefined;

  private constructor(config: LoadedConfig, stores: OpenStores, options: RoleServiceOptions) {
    this.#config = config;
    this.#options = options;
    this.#stores = stores;
    const { records } = stores;
    this.watches = config.roles.map((role) => createRoleWatch(role, { records, ...options }));
  }

  /** Touches nothing yet. */
  static async open(config: LoadedConfig, options: RoleServiceOptions): Promise<RoleService> {
    const stores = await openStores(config.roles[0].storage, options);
    return new RoleService(config, stores, options);
  }

  /** Resolves when all roles serve. Rejects with a reason that can be shown; `signal` gives up the start. */
  async start(signal: AbortSignal): Promise<readonly RunningRole[]> {
    const { clock, log, metrics, share, sharesPorts } = this.#options;
    const { mode, roles } = this.#config;
    const observer = metrics.observer();
    const stores = this.#stores;
    const opened = await createPlatform(roles[0], { stores, share, clock, log, observer, signal });
    this.#platform = opened;
    for (const watch of this.watches) {
      const options = { mode, opened, sharesPort: sharesPorts, signal };
      this.#running.push(await startRole(watch, options));
    }
    return this.#running;
  }

  /** From here on it is not ready. */
  stopping(): void {
    for (const { health } of this.watches) health.stopping();
  }

  /** Requests first, of all roles at once; then what runs behind them; then what they stood on. */
  shutdownPhases(): ShutdownPhase[] {
    return [
      together(
        'requests',
        this.#running.map(({ finishRequests }) => finishRequests),
      ),
      together(
        'roles',
        this.#running.map(({ closeRole }) => closeRole),
      ),
      {
        name: 'index and store',
        capMs: CLOSE_MS,
        run: async () => {
          this.#platform?.abort();
          await this.#platform?.close();
          this.#stores.close();
        },
      },
    ];
  }
}

function together(name: string, phases: readonly ShutdownPhase[]): ShutdownPhase {
  return {
    name,
    capMs: Math.max(0, ...phases.map(({ capMs }) => capMs)),
    run: async (signal) => {
      await Promise.all(phases.map(async (phase) => await phase.run(signal)));
    },
  };
}
