import { firstSegment } from '../../../shared/oci/reference.ts';
import type { CacheLedger } from './cache-ledger.ts';
import type { CachedUnit } from './cache-survey.ts';

/** How much may be held: for one upstream, by its project, or in all. */
export interface CacheBudget {
  readonly project: string | undefined;
  readonly maxBytes: number;
}

export interface EvictionRules {
  readonly budgets: readonly CacheBudget[];
  /** Eviction begins above this part of a budget, and goes on down to that. */
  readonly highPercent: number;
  readonly lowPercent: number;
  /** What was used since then stays, whatever the budget says. */
  readonly usedBefore: Date;
}

export interface EvictionPlan {
  /** In the order in which they are to go: the longest unused first. */
  readonly units: readonly CachedUnit[];
  /** Budgets that cannot be kept, because the rest is pinned or was used too lately; by how much. */
  readonly unmet: readonly { readonly budget: CacheBudget; readonly overBytes: number }[];
}

/** The budgets that are exceeded. */
export const exceeded = (
  ledger: Pick<CacheLedger, 'bytes'>,
  { budgets, highPercent }: Pick<EvictionRules, 'budgets' | 'highPercent'>,
): CacheBudget[] =>
  budgets.filter(({ project, maxBytes }) => ledger.bytes(project) > (maxBytes * highPercent) / 100);

/** What has to go so that every exceeded budget is kept again. The ledger has it taken out afterwards. */
export function planEviction(
  units: readonly CachedUnit[],
  ledger: CacheLedger,
  rules: EvictionRules,
): EvictionPlan {
  const over = exceeded(ledger, rules);
  const overBytes = ({ project, maxBytes }: CacheBudget): number =>
    Math.max(0, ledger.bytes(project) - Math.floor((maxBytes * rules.lowPercent) / 100));
  const chosen: CachedUnit[] = [];
  for (const unit of units.toSorted(byLastUse)) {
    const unmet = over.filter((budget) => overBytes(budget) > 0);
    if (unmet.length === 0) break;
    if (unit.isPinned || unit.lastUsed >= rules.usedBefore) continue;
    const project = firstSegment(unit.repository);
    if (!unmet.some((budget) => budget.project === undefined || budget.project === project)) {
      continue;
    }
    ledger.evict(unit);
    chosen.push(unit);
  }
  const unmet = over
    .map((budget) => ({ budget, overBytes: overBytes(budget) }))
    .filter((left) => left.overBytes > 0);
  return { units: chosen, unmet };
}

/** Ties by name, so that a dry run tells what the next run does. */
function byLastUse(a: CachedUnit, b: CachedUnit): number {
  const ms = a.lastUsed.getTime() - b.lastUsed.getTime();
  if (ms !== 0) return ms;
  const [one, other] = [a, b].map(({ repository, digest }) => `${repository}@${digest}`);
  return (one ?? '') < (other ?? '') ? -1 : 1;
}
