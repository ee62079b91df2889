import { type ByteBudget, OwnByteBudget } from '../../shared/concurrency/byte-budget.ts';
import type { LoadedConfig } from '../../shared/config/load-config.ts';
import type { Leases, SharedHints } from '../../shared/index/ports.ts';
import { ProcessHints } from '../../shared/index/store/process-hints.ts';
import { ProcessLeases } from '../../shared/index/store/process-leases.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';

/** What all processes of one program have in common, however many they are. */
export interface ProgramShare {
  readonly leases: Leases;
  readonly hints: SharedHints;
  /** SPOOL_MAX_BYTES, for the spools of all processes together. */
  readonly spoolRoom: ByteBudget;
  /** Tells the operator what is no line of the log: it is kept nowhere. */
  readonly announce: (text: string) => void;
}

/** The share of a program that is one process, and what the first process of a larger one hands out. */
export function createProgramShare(
  config: LoadedConfig,
  clock: Clock,
  announce: (text: string) => void,
): ProgramShare {
  const mirror = config.roles.find((role) => role.role === 'mirror');
  return {
    leases: new ProcessLeases(clock),
    hints: new ProcessHints(clock),
    spoolRoom: new OwnByteBudget(mirror?.spoolMaxBytes ?? 0),
    announce,
  };
}
