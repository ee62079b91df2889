/**
 * The times of the removal protocol, the same for all processes over one store.
 *
 * A blob may go when every process has surely seen its mark (`viewMs`) and whoever relied on the blob before that has
 * written the link that shows it (`relianceMs`): hence the wait, `viewMs + relianceMs`.
 */
export interface RemovalTiming {
  /** How old a process's view of the marks may be when it says that a blob is there. */
  readonly viewMs: number;
  /** How long after a blob was seen a link to it may be written without looking again. */
  readonly relianceMs: number;
  /** From the last look at the marks to the last delete of a batch. Much shorter than `abandonedFinalMs`. */
  readonly finalMs: number;
  /** How long a push waits for a delete of its own blob that is under way. */
  readonly settleMs: number;
  /** Marks of a last step that have stood for so long are a dead process's. */
  readonly abandonedFinalMs: number;
  /** And other marks: longer than any run takes to look at all links. */
  readonly abandonedMs: number;
  /** How often a process looks for marks of dead runs. */
  readonly lookMs: number;
  /** How long after a pull every process sees in the store that its image is used, with what the store takes for it. */
  readonly usesToldMs: number;
}

/** How long a run waits between its mark and its second look at the links. */
export const removalWaitMs = ({ viewMs, relianceMs }: RemovalTiming): number => viewMs + relianceMs;

export const REMOVAL_TIMING: RemovalTiming = {
  viewMs: 10_000,
  relianceMs: 50_000,
  finalMs: 20_000,
  settleMs: 20_000,
  abandonedFinalMs: 300_000,
  abandonedMs: 3_600_000,
  lookMs: 30_000,
  usesToldMs: 15_000,
};

/** The times divided, for tests that cannot wait. */
export function hastened(timing: RemovalTiming, haste: number): RemovalTiming {
  const entries = Object.entries(timing).map(([name, ms]: [string, number]) => [name, ms / haste]);
  return Object.fromEntries(entries) as RemovalTiming;
}
