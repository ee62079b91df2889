import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';

import { createMirrorObserver } from './mirror-metrics.ts';
import { type Observer, type RequestObservation, type Role, UNOBSERVED } from './observer.ts';

/** 1 ms to a minute: from a cached manifest to a large layer. */
const REQUEST_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** 0.25 ms to ten seconds: from a local file to an object store in trouble. */
const STORE_BUCKETS = [
  0.00025, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];
/** Redis is given 50 ms. */
const REDIS_BUCKETS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];

export type MetricValues = MetricObjectWithValues<MetricValue<string>>;

/** All that was counted so far, as it can be handed to another process. */
export interface MetricsSnapshot {
  readonly process: readonly MetricValues[];
  readonly roles: Readonly<Partial<Record<Role, readonly MetricValues[]>>>;
}

export interface MetricsOptions {
  readonly version: string;
}

/**
 * Everything that is counted in a process, in Prometheus' terms. What the stores and Redis do is counted once per
 * process; requests are counted per role, so that two roles in one process show as two.
 */
export class Metrics {
  /** Process, build, store and Redis. */
  readonly #process = new Registry();
  readonly #roles = new Map<Role, Registry>();
  readonly #storeSeconds: Histogram<'operation' | 'outcome'>;
  readonly #damage: Counter<'kind'>;
  readonly #redisSeconds: Histogram<'operation' | 'outcome'>;

  constructor({ version }: MetricsOptions) {
    const registers = [this.#process];
    collectDefaultMetrics({ register: this.#process });
    new Gauge({
      name: 'registry_build_info',
      help: 'Version of the program; the value is always 1.',
      labelNames: ['version'] as const,
      registers,
      // Of several processes: one and the same program.
      aggregator: 'first',
    }).set({ version }, 1);
    this.#storeSeconds = new Histogram({
      name: 'registry_storage_operation_duration_seconds',
      help: 'How long operations of the store took.',
      labelNames: ['operation', 'outcome'] as const,
      buckets: STORE_BUCKETS,
      registers,
    });
    this.#damage = new Counter({
      name: 'registry_storage_damage_total',
      help: 'Blobs and manifests that repositories have and the store has lost or damaged, each time they are asked for.',
      labelNames: ['kind'] as const,
      registers,
    });
    for (const kind of ['blob-missing', 'blob-damaged', 'manifest-missing', 'manifest-damaged']) {
      this.#damage.inc({ kind }, 0);
    }
    this.#redisSeconds = new Histogram({
      name: 'registry_redis_operation_duration_seconds',
      help: 'How long commands to Redis took.',
      labelNames: ['operation', 'outcome'] as const,
      buckets: REDIS_BUCKETS,
      registers,
    });
  }

  /** What a role reports to; called once per role. Without a role: the platform under all roles. */
  observer(role?: Role): Observer {
    const store = (operation: string, seconds: number, isFault: boolean): void =>
      this.#storeSeconds.observe({ operation, outcome: isFault ? 'fault' : 'ok' }, seconds);
    const redis = (operation: string, seconds: number, isFault: boolean): void =>
      this.#redisSeconds.observe({ operation, outcome: isFault ? 'fault' : 'ok' }, seconds);
    const damage = (kind: string): void => this.#damage.inc({ kind });
    if (role === undefined) {
      return { ...UNOBSERVED, store, damage, redis };
    }
    const registry = new Registry();
    this.#roles.set(role, registry);
    return {
      ...UNOBSERVED,
      store,
      damage,
      redis,
      ...requestObserver(role, registry),
      ...(role === 'mirror' && createMirrorObserver(registry)),
    };
  }

  async snapshot(): Promise<MetricsSnapshot> {
    const roles = await Promise.all(
      [...this.#roles].map(async ([role, registry]) => [role, await registry.getMetricsAsJSON()]),
    );
    return {
      process: await this.#process.getMetricsAsJSON(),
      roles: Object.fromEntries(roles) as MetricsSnapshot['roles'],
    };
  }

  /** The exposition of one role and of the process that it runs in. */
  async render(role: Role): Promise<{ readonly contentType: string; readonly body: string }> {
    const ofRole = await this.#roles.get(role)?.metrics();
    const ofProcess = await this.#process.metrics();
    return { contentType: this.#process.contentType, body: `${ofRole ?? ''}\n${ofProcess}` };
  }
}

function requestObserver(role: Role, registry: Registry): Pick<Observer, 'request'> {
  const registers = [registry];
  const requests = new Counter({
    name: 'registry_http_requests_total',
    help: 'Finished requests.',
    labelNames: ['role', 'operation', 'status_class'] as const,
    registers,
  });
  const seconds = new Histogram({
    name: 'registry_http_request_duration_seconds',
    help: 'How long requests took until their last byte.',
    labelNames: ['role', 'operation'] as const,
    buckets: REQUEST_BUCKETS,
    registers,
  });
  const received = new Counter({
    name: 'registry_http_received_bytes_total',
    help: 'Bytes of request bodies.',
    labelNames: ['role', 'operation'] as const,
    registers,
  });
  const sent = new Counter({
    name: 'registry_http_sent_bytes_total',
    help: 'Bytes of answer bodies.',
    labelNames: ['role', 'operation'] as const,
    registers,
  });
  return {
    request: (observation) => {
      const { operation } = observation;
      requests.inc({ role, operation, status_class: statusClass(observation) });
      seconds.observe({ role, operation }, observation.seconds);
      received.inc({ role, operation }, observation.bytesIn);
      sent.inc({ role, operation }, observation.bytesOut);
    },
  };
}

/** A client that went away is nobody's fault: neither a success nor an error of ours. */
const statusClass = ({ status, isClientGone }: RequestObservation): string =>
  isClientGone ? 'client_closed' : `${Math.floor(status / 100)}xx`;
