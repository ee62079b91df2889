import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { MetricsSnapshot, MetricValues } from '../../shared/observability/metrics.ts';
import type { Role } from '../../shared/observability/observer.ts';
import { inTime } from './in-time.ts';

/** A worker whose metrics can be asked. */
export interface CountedWorker {
  readonly number: number;
  readonly peer: { call(name: 'metrics', argument: undefined): Promise<MetricsSnapshot> };
}

/** Prometheus gives up after ten seconds by default. */
const ANSWER_MS = 3_000;
const ROLES: readonly Role[] = ['push', 'mirror'];
const MEMORY = 'process_resident_memory_bytes';

/**
 * The metrics of all workers as one program's. What they counted is summed, and what a worker had counted when it was
 * last asked stays when it dies, so that no sum ever falls. Gauges are of the workers that live. Time, memory and files
 * of the primary process are in the sums of `process_…`.
 */
export class SummedMetrics {
  readonly #clock: Clock;
  /** The last that each living worker said. */
  readonly #last = new Map<CountedWorker, MetricsSnapshot>();
  #ofTheDead: MetricsSnapshot = { process: [], roles: {} };
  readonly #primary = new Registry();
  readonly #own = new Registry();
  readonly #restarts: Counter;
  readonly #count: Gauge;
  readonly #memory: Gauge<'worker'>;

  constructor(clock: Clock) {
    this.#clock = clock;
    const registers = [this.#own];
    collectDefaultMetrics({ register: this.#primary });
    this.#count = new Gauge({ name: 'registry_workers', help: 'Workers that live.', registers });
    this.#restarts = new Counter({
      name: 'registry_worker_restarts_total',
      help: 'Workers that were started in the place of one that died.',
      registers,
    });
    this.#memory = new Gauge({
      name: 'registry_worker_resident_memory_bytes',
      help: 'Resident memory of each worker.',
      labelNames: ['worker'] as const,
      registers,
    });
  }

  restarted(): void {
    this.#restarts.inc();
  }

  ended(worker: CountedWorker): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last) this.#ofTheDead = sum([this.#ofTheDead, onlyCounted(last)]);
  }

  /** The exposition of one role and of the processes that it runs in. A worker that does not answer is as it was. */
  async render(
    role: Role,
    living: readonly CountedWorker[],
  ): Promise<{ readonly contentType: string; readonly body: string }> {
    await Promise.all(living.map((worker) => this.#ask(worker)));
    const snapshots = [this.#ofTheDead, ...this.#last.values()];
    this.#count.set(living.length);
    this.#memory.reset();
    for (const [{ number }, snapshot] of this.#last) {
      const bytes = snapshot.process.find(({ name }) => name === MEMORY)?.values[0]?.value;
      if (bytes !== undefined) this.#memory.set({ worker: number }, bytes);
    }
    const parts = await Promise.all([
      Registry.aggregate(snapshots.map(({ roles }) => [...(roles[role] ?? [])])).metrics(),
      Registry.aggregate([
        ...snapshots.map(({ process }) => process.filter(isSummable)),
        await this.#ofPrimary(),
      ]).metrics(),
      // Of the program: when the process began that starts the others.
      this.#primary.getSingleMetricAsString('process_start_time_seconds'),
      this.#own.metrics(),
    ]);
    return { contentType: this.#own.contentType, body: `${parts.join('\n')}\n` };
  }

  async #ask(worker: CountedWorker): Promise<void> {
    const snapshot = await inTime(worker.peer.call('metrics', undefined), ANSWER_MS, this.#clock);
    if (snapshot) this.#last.set(worker, snapshot);
  }

  async #ofPrimary(): Promise<MetricValues[]> {
    const all = await this.#primary.getMetricsAsJSON();
    return all.filter(({ name }) => name.startsWith('process_'));
  }
}

/** Quantiles of several processes have no sum. */
const isSummable = ({ type }: MetricValues): boolean => type !== 'summary';

const isCounted = ({ type }: MetricValues): boolean => type === 'counter' || type === 'histogram';

const onlyCounted = ({ process, roles }: MetricsSnapshot): MetricsSnapshot => ({
  process: process.filter(isCounted),
  roles: Object.fromEntries(ROLES.map((role) => [role, roles[role]?.filter(isCounted) ?? []])),
});

const sum = (snapshots: readonly MetricsSnapshot[]): MetricsSnapshot => ({
  process: aggregate(snapshots.map(({ process }) => process)),
  roles: Object.fromEntries(
    ROLES.map((role) => [role, aggregate(snapshots.map(({ roles }) => roles[role] ?? []))]),
  ),
});

/** What an aggregated registry holds are the values themselves. */
const aggregate = (lists: readonly (readonly MetricValues[])[]): MetricValues[] =>
  Registry.aggregate(lists.map((list) => [...list])).getMetricsAsArray() as MetricValues[];
