import type { LoadedConfig } from '../../shared/config/load-config.ts';
import type { LeaseTerms } from '../../shared/index/ports.ts';
import type { Readiness } from '../../shared/observability/health.ts';
import type { MetricsSnapshot } from '../../shared/observability/metrics.ts';
import type { Role } from '../../shared/observability/observer.ts';

/** What a worker is to do. */
export interface WorkerJob {
  /** From 1; who takes the place of a dead worker has its number. */
  readonly number: number;
  readonly config: LoadedConfig;
}

/** Where a role really listens. */
export interface Listening {
  readonly role: Role;
  readonly port: number;
}

/** What the primary process can ask a worker. */
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- an interface is no Record.
export type WorkerCalls = {
  /** Resolves when the worker serves; rejects with what a person should read. */
  readonly start: (job: WorkerJob) => Promise<readonly Listening[]>;
  readonly readiness: (role: Role) => Promise<Readiness>;
  readonly metrics: (_: undefined) => Promise<MetricsSnapshot>;
  /** Shows that the worker's event loop turns. */
  readonly ping: (_: undefined) => void;
  /** Finish what runs, then end. */
  readonly stop: (_: undefined) => void;
};

export interface WantedLease {
  /** The worker's own number for it. */
  readonly id: number;
  readonly name: string;
  readonly waitMs: number;
  readonly terms: LeaseTerms;
}

export interface Hint {
  readonly name: string;
  readonly value: string;
  readonly ttlMs: number;
}

/** What a worker can ask the primary process: the share of the program that all workers have in common. */
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- an interface is no Record.
export type PrimaryCalls = {
  /** False when it was not to be had in time. */
  readonly 'lease.acquire': (wanted: WantedLease) => Promise<boolean>;
  /** Gives the lease back, or stops waiting for it. */
  readonly 'lease.release': (id: number) => void;
  readonly 'lease.holder': (name: string) => Promise<string | undefined>;
  readonly 'hint.get': (name: string) => Promise<string | undefined>;
  readonly 'hint.put': (hint: Hint) => Promise<void>;
  readonly 'room.reserve': (bytes: number) => Promise<boolean>;
  readonly 'room.release': (bytes: number) => void;
  /** Tells the operator. */
  readonly announce: (text: string) => void;
};
