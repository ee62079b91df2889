import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

import type { MirrorLevel, MirrorObserver, ProxyOutcome } from './observer.ts';
import { createQuotaObserver } from './quota-metrics.ts';

/** 1 ms to a minute. */
const UPSTREAM_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const LEVELS: Readonly<Record<MirrorLevel, { readonly name: string; readonly help: string }>> = {
  fills: {
    name: 'registry_mirror_fills_running',
    help: 'Downloads of blobs that run.',
  },
  completionsWaiting: {
    name: 'registry_mirror_completions_waiting',
    help: 'Pulled images whose missing blobs are still to be fetched.',
  },
  breakerOpen: {
    name: 'registry_mirror_upstream_breaker_open',
    help: '1 while the upstream is left alone because it failed.',
  },
  cacheBytes: {
    name: 'registry_mirror_cache_bytes',
    help: 'Bytes of cached content, as it was counted last.',
  },
  cacheBudgetBytes: {
    name: 'registry_mirror_cache_budget_bytes',
    help: 'Bytes that cached content may take.',
  },
};

/**
 * What a mirror counts: distribution's proxy counters by their names there, and ours beside them, by upstream and
 * outcome. Labels are projects of configured upstreams and closed sets of words.
 */
export function createMirrorObserver(registry: Registry): MirrorObserver {
  const proxy = distributionCounters(registry);
  const own = ownCounters(registry);
  const seconds = new Histogram({
    name: 'registry_proxy_upstream_request_duration_seconds',
    help: 'How long the upstream took to begin its answer.',
    labelNames: ['method', 'status_class'] as const,
    buckets: UPSTREAM_BUCKETS,
    registers: [registry],
  });
  const fills = new Counter({
    name: 'registry_mirror_fills_total',
    help: 'Downloads of blobs by how they were joined with those of other processes, and why one was not.',
    labelNames: ['joined', 'reason'] as const,
    registers: [registry],
  });
  const completions = new Counter({
    name: 'registry_mirror_completions_total',
    help: 'Pulled images whose missing blobs were to be fetched, by what came of it.',
    labelNames: ['upstream', 'outcome'] as const,
    registers: [registry],
  });
  const levels = new Map<MirrorLevel, Gauge<'upstream'>>();
  for (const [level, { name, help }] of Object.entries(LEVELS)) {
    const gauge = new Gauge({
      name,
      help,
      labelNames: ['upstream'] as const,
      registers: [registry],
    });
    levels.set(level as MirrorLevel, gauge);
  }
  return {
    proxy: (observation) => {
      proxy(observation);
      own(observation);
    },
    fill: ({ joined, reason }) => fills.inc({ joined, reason }),
    upstreamRequest: (method, status, took) =>
      seconds.observe({ method, status_class: status }, took),
    quota: createQuotaObserver(registry),
    eviction: evictionObserver(registry),
    completion: (upstream, outcome) => completions.inc({ upstream, outcome }),
    level: (level, upstream, change) => {
      const gauge = levels.get(level);
      if ('add' in change) gauge?.inc({ upstream }, change.add);
      else gauge?.set({ upstream }, change.set);
    },
  };
}

function evictionObserver(registry: Registry): MirrorObserver['eviction'] {
  const registers = [registry];
  const images = new Counter({
    name: 'registry_mirror_evicted_images_total',
    help: 'Cached manifests that were evicted.',
    registers,
  });
  const bytes = new Counter({
    name: 'registry_mirror_evicted_bytes_total',
    help: 'Bytes that eviction removed from the store.',
    registers,
  });
  const runs = new Counter({
    name: 'registry_mirror_evictions_total',
    help: 'Looks at the cache and its budget.',
    labelNames: ['outcome'] as const,
    registers,
  });
  for (const outcome of ['ok', 'fault']) runs.inc({ outcome }, 0);
  const running = new Gauge({
    name: 'registry_mirror_eviction_running',
    help: '1 while cached images are counted and evicted.',
    registers,
  });
  const lastRun = new Gauge({
    name: 'registry_mirror_eviction_last_run_timestamp_seconds',
    help: 'When the cache was last looked through without a fault, since 1970.',
    registers,
    aggregator: 'max',
  });
  return (observation) => {
    switch (observation.kind) {
      case 'evicted':
        images.inc(observation.images);
        bytes.inc(observation.bytes);
        return;
      case 'began':
        running.set(1);
        return;
      case 'ended':
        running.set(0);
        runs.inc({ outcome: observation.isFault ? 'fault' : 'ok' });
        if (!observation.isFault) lastRun.set(observation.at.getTime() / 1000);
    }
  };
}

function distributionCounters(registry: Registry): MirrorObserver['proxy'] {
  const counter = (name: string, help: string): Counter<'type'> => {
    const labelNames = ['type'] as const;
    const made = new Counter({ name, help, labelNames, registers: [registry] });
    made.inc({ type: 'blob' }, 0);
    made.inc({ type: 'manifest' }, 0);
    return made;
  };
  const requests = counter('registry_proxy_requests_total', 'Pulls at the mirror.');
  const misses = counter('registry_proxy_misses_total', 'Pulls that had to ask the upstream.');
  const outcomes: Readonly<Record<ProxyOutcome, Counter<'type'> | undefined>> = {
    hit: counter('registry_proxy_hits_total', 'Pulls served from the store.'),
    miss: misses,
    join: counter('registry_proxy_joins_total', 'Pulls that joined a running download.'),
    stale: counter('registry_proxy_stale_total', 'Pulls served although the upstream was down.'),
    bypass: misses,
    background: undefined,
  };
  const pulled = counter('registry_proxy_pulled_bytes_total', 'Bytes from the upstream.');
  const pushed = counter('registry_proxy_pushed_bytes_total', 'Bytes to clients.');
  return ({ kind: type, outcome, bytesPulled = 0, bytesPushed = 0 }) => {
    if (outcome !== 'background') requests.inc({ type });
    outcomes[outcome]?.inc({ type });
    pulled.inc({ type }, bytesPulled);
    pushed.inc({ type }, bytesPushed);
  };
}

function ownCounters(registry: Registry): MirrorObserver['proxy'] {
  const registers = [registry];
  const pulls = new Counter({
    name: 'registry_mirror_pulls_total',
    help: 'Pulls of upstream content, by how they were served.',
    labelNames: ['upstream', 'type', 'outcome'] as const,
    registers,
  });
  const fetched = new Counter({
    name: 'registry_mirror_fetched_bytes_total',
    help: 'Bytes of content that came from the upstream, for clients and in the background.',
    labelNames: ['upstream', 'type'] as const,
    registers,
  });
  const served = new Counter({
    name: 'registry_mirror_served_bytes_total',
    help: 'Bytes of upstream content that went to clients.',
    labelNames: ['upstream', 'type', 'outcome'] as const,
    registers,
  });
  const saved = new Gauge({
    name: 'registry_mirror_saved_bytes',
    help: 'Bytes that went to clients less those that came from the upstream, since the start.',
    labelNames: ['upstream'] as const,
    registers,
  });
  return ({ upstream, kind: type, outcome, bytesPulled = 0, bytesPushed = 0 }) => {
    fetched.inc({ upstream, type }, bytesPulled);
    saved.inc({ upstream }, bytesPushed - bytesPulled);
    if (outcome === 'background') return;
    pulls.inc({ upstream, type, outcome });
    served.inc({ upstream, type, outcome }, bytesPushed);
  };
}
