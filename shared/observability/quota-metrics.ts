import { Gauge, type Registry } from 'prom-client';

import type { MirrorObserver } from './observer.ts';

/**
 * What credentials may still pull from their upstreams. Several processes know the same budgets, some later than others:
 * the least that is known to be left is what counts.
 */
export function createQuotaObserver(registry: Registry): MirrorObserver['quota'] {
  const registers = [registry];
  const labelNames = ['upstream', 'credential'] as const;
  const limit = new Gauge({
    name: 'registry_mirror_upstream_quota_limit',
    help: 'Pulls that the upstream allows a credential in its window, as it said last.',
    labelNames,
    registers,
    aggregator: 'max',
  });
  const remaining = new Gauge({
    name: 'registry_mirror_upstream_quota_remaining',
    help: 'Pulls that the upstream still allows a credential in its window, as it said last.',
    labelNames,
    registers,
    aggregator: 'min',
  });
  const limitedUntil = new Gauge({
    name: 'registry_mirror_upstream_limited_until_seconds',
    help: 'Unix time before which a credential is not used for pulls, because the upstream limited it; 0 for never.',
    labelNames,
    registers,
    aggregator: 'max',
  });
  return (quota) => {
    const labels = { upstream: quota.upstream, credential: quota.credential };
    if (quota.limit !== undefined) limit.set(labels, quota.limit);
    if (quota.remaining !== undefined) remaining.set(labels, quota.remaining);
    limitedUntil.set(labels, quota.limitedUntilMs / 1000);
  };
}
