import type { CacheConfig } from '../../../shared/config/config.ts';
import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import { PatternRecords, PINNED } from '../../../shared/content/pattern-records.ts';
import {
  parseReferencePattern,
  type ReferencePattern,
} from '../../../shared/content/reference-pattern.ts';
import type { Log, Observer } from '../../../shared/observability/observer.ts';
import { removalWaitMs } from '../../../shared/content/removal/removal-timing.ts';
import { CacheLedger } from './cache-ledger.ts';
import {
  CacheSurvey,
  type CacheSurveyOptions,
  type CachedUnit,
  type Holdings,
} from './cache-survey.ts';
import {
  evictCached,
  type EvictCachedOptions,
  type Evicted,
  finishOtherRuns,
} from './evict-cached.ts';
import {
  type CacheBudget,
  type EvictionPlan,
  type EvictionRules,
  exceeded,
  planEviction,
} from './eviction-plan.ts';

export interface CacheEvictionOptions extends EvictCachedOptions, CacheSurveyOptions {
  readonly config: CacheConfig;
  readonly upstreams: readonly UpstreamConfig[];
  readonly observer: Pick<Observer, 'eviction' | 'level'>;
  readonly log: Log;
}

/** Stands for all upstreams together where one is named. */
const ALL = '*';

/** What the cache holds and what of it has to go. */
export interface SurveyedCache {
  readonly heldBytes: number;
  readonly heldByProject: ReadonlyMap<string, number>;
  readonly plan: EvictionPlan;
  /** What would be held after it. */
  readonly leftBytes: number;
  readonly holdings: Holdings;
  readonly units: readonly CachedUnit[];
  readonly usedBefore: Date;
}

/** Keeps what is cached within its budgets. Rejects, with nothing removed since, when the store cannot be read. */
export class CacheEviction {
  readonly #options: CacheEvictionOptions;
  readonly #survey: CacheSurvey;
  readonly #pins: PatternRecords;

  constructor(options: CacheEvictionOptions) {
    this.#options = options;
    const { records, blobs, stored } = options;
    this.#survey = new CacheSurvey({ records, blobs, stored });
    this.#pins = new PatternRecords(records, PINNED);
  }

  get budgets(): CacheBudget[] {
    const { config, upstreams } = this.#options;
    const all = [
      { project: undefined, maxBytes: config.maxBytes },
      ...upstreams.map(({ project, cacheBytes }) => ({ project, maxBytes: cacheBytes })),
    ];
    return all.flatMap(({ project, maxBytes }) =>
      maxBytes === undefined ? [] : [{ project, maxBytes }],
    );
  }

  /** Looks, and writes nothing. Images are read only when a budget is exceeded. */
  async survey(signal: AbortSignal): Promise<SurveyedCache> {
    const { config, clock, observer, timing } = this.#options;
    const minAgeMs = Math.max(config.minAgeSeconds * 1000, removalWaitMs(timing));
    const usedBefore = new Date(clock.now().getTime() - minAgeMs);
    const { highPercent, lowPercent } = config;
    const rules: EvictionRules = { budgets: this.budgets, highPercent, lowPercent, usedBefore };
    const holdings = await this.#survey.holdings(signal);
    const before = new CacheLedger(holdings, []);
    const heldByProject = new Map(
      before.projects.map((project) => [project, before.bytes(project)]),
    );
    const heldBytes = before.bytes();
    for (const [project, bytes] of [[ALL, heldBytes] as const, ...heldByProject]) {
      observer.level('cacheBytes', project, { set: bytes });
    }
    for (const { project = ALL, maxBytes } of this.budgets) {
      observer.level('cacheBudgetBytes', project, { set: maxBytes });
    }
    const found = { heldBytes, heldByProject, holdings, usedBefore };
    if (exceeded(before, rules).length === 0) {
      return { ...found, plan: { units: [], unmet: [] }, leftBytes: heldBytes, units: [] };
    }
    const units = await this.#survey.units(holdings, await this.pins(signal), signal);
    const ledger = new CacheLedger(holdings, units);
    const plan = planEviction(units, ledger, rules);
    return { ...found, plan, leftBytes: ledger.bytes(), units };
  }

  /** Surveys the cache and evicts what has to go. */
  async run(signal: AbortSignal): Promise<Evicted> {
    const { observer, log, clock, timing } = this.#options;
    await finishOtherRuns(this.#options, signal);
    const { plan, holdings, units, usedBefore } = await this.survey(signal);
    for (const { budget, overBytes } of plan.unmet) {
      log.warn(
        { operation: 'cache.evict', upstream: budget.project, overBytes },
        'the cache cannot be kept within its budget: what is left is pinned or was used too lately',
      );
    }
    // What was used just now is not written down yet; it is looked at once more before anything goes.
    if (plan.units.length > 0) await clock.sleep(timing.usesToldMs, signal);
    const context = { holdings, all: units, usedBefore };
    const evicted = await evictCached(plan.units, context, this.#options, signal);
    observer.eviction({ kind: 'evicted', ...evicted });
    if (evicted.images > 0)
      log.info({ operation: 'cache.evict', ...evicted }, 'cached images were evicted');
    return evicted;
  }

  /** Of the configuration and of the store. */
  async pins(signal: AbortSignal): Promise<ReferencePattern[]> {
    const { config, upstreams } = this.#options;
    const configured = config.pins.map((text) => parseReferencePattern(text, upstreams));
    const stored = await this.#pins.list(signal);
    return [
      ...configured.filter((pattern) => pattern !== undefined),
      ...stored.map(({ pattern }) => pattern),
    ];
  }
}
