import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Readiness, WorkerReadiness } from '../../shared/observability/health.ts';
import { inTime } from './in-time.ts';

/** A worker, or the place of one that is gone. */
export interface AskedWorker {
  readonly number: number;
  /** Undefined while there is no process. Rejects when it is gone. */
  readonly ask: (() => Promise<Readiness>) | undefined;
}

/** More than a worker needs to give up on a store that hangs, less than probes wait. */
const ANSWER_MS = 3_500;

/**
 * Whether a program of several workers should get requests: when it has been up as a whole, as long as one worker is
 * ready. Connections reach living workers alone, so to take the program away for one of them would only make it worse;
 * the others are told as degraded. `absent`: what a worker without a process does.
 */
export async function jointReadiness(
  workers: readonly AskedWorker[],
  absent: 'starting' | 'restarting',
  clock: Clock,
): Promise<Readiness> {
  const answers = await Promise.all(
    workers.map(async ({ number, ask }) => {
      const answer = ask && (await inTime(ask(), ANSWER_MS, clock));
      const state = answer?.state ?? (ask ? 'silent' : absent);
      return {
        worker: number,
        state,
        degraded: answer?.degraded ?? [],
        store: answer?.store,
      } as const;
    }),
  );
  const states: WorkerReadiness[] = answers.map(({ worker, state }) => ({ worker, state }));
  const isReady = states.some(({ state }) => state === 'ready');
  const unready = states.filter(({ state }) => state !== 'ready');
  const isStoreAway = states.some(({ state }) => state === 'store-unavailable');
  const degraded = new Set([
    ...answers.flatMap((answer) => answer.degraded),
    ...(isReady ? unready.map(({ worker }) => `worker-${worker}`) : []),
  ]);
  const store = answers.find((answer) => answer.store !== undefined)?.store;
  const failed = isStoreAway ? 'store-unavailable' : 'workers-unavailable';
  return {
    isReady,
    state: isReady ? 'ready' : failed,
    degraded: [...degraded],
    ...(store === undefined ? {} : { store }),
    workers: states,
  };
}
