import { availableParallelism } from 'node:os';

import { cpuSeconds, ownCpuSeconds } from '../measure/cpu-time.ts';
import type { Seed } from '../seed/content.ts';
import type { Subject } from '../subjects/subject.ts';

/** What one round of one case came to at one registry. */
export interface Sample {
  /** Requests or megabytes a second; seconds an answer for a case whose unit is `s`. */
  readonly rate: number;
  /** Processor time of the registry per request or megabyte, in microseconds. */
  readonly serverMicros: number;
  /** The same of MinIO and Redis. */
  readonly backingMicros: number;
  /** The load generator's part of all processor time that there was. */
  readonly loadShare: number;
  readonly p99Ms: number | undefined;
}

export interface CaseContext {
  readonly seed: Seed;
  /** Length of one measurement. */
  readonly seconds: number;
  readonly scratch: string;
}

export interface Case {
  readonly id: string;
  readonly title: string;
  /** `s`: fewer are better. */
  readonly unit: 'requests/s' | 'MB/s' | 's';
  /** Whether `--quick` runs it. */
  readonly isQuick: boolean;
  /** Done once before the first round, and not counted. */
  warmUp?(subject: Subject): Promise<void>;
  run(subject: Subject, context: CaseContext): Promise<Sample>;
}

/** Work that was done: how much of the case's unit, in how many seconds. */
export interface Work {
  readonly units: number;
  readonly seconds: number;
  readonly p99Ms?: number;
}

type Measured = Pick<Subject, 'pid' | 'backingPids'>;

/** Runs the work and counts what processor time it took, and whose. */
export async function metered(subject: Measured, work: () => Promise<Work>): Promise<Sample> {
  const pids = [subject.pid];
  const before = {
    server: cpuSeconds(pids),
    backing: backingSeconds(subject),
    own: ownCpuSeconds(),
  };
  const { units, seconds, p99Ms } = await work();
  const micros = (used: number): number => (used * 1e6) / Math.max(units, 1);
  return {
    rate: units / seconds,
    serverMicros: micros(cpuSeconds(pids) - before.server),
    backingMicros: micros(backingSeconds(subject) - before.backing),
    loadShare: (ownCpuSeconds() - before.own) / (seconds * availableParallelism()),
    p99Ms,
  };
}

const backingSeconds = ({ backingPids }: Measured): number =>
  backingPids.length === 0 ? 0 : cpuSeconds(backingPids);
