/** One thing that a store was seen to do or not to do. */
export interface Finding {
  readonly trait: string;
  /** Undefined: it could not be found out. */
  readonly holds: boolean | undefined;
}

/** What a store really guarantees, as far as a short trial shows it. */
export interface StoreFindings {
  /** False: the store refuses to be written, so that nothing else could be tried. */
  readonly isWritable: boolean;
  readonly findings: readonly Finding[];
}

/** A trial of one trait; what it throws means that it could not be found out. */
export interface Trial {
  readonly trait: string;
  readonly run: () => Promise<boolean>;
}

/** Runs the trials side by side; never rejects. */
export async function runTrials(trials: readonly Trial[]): Promise<Finding[]> {
  return await Promise.all(
    trials.map(async ({ trait, run }) => {
      try {
        return { trait, holds: await run() };
      } catch {
        return { trait, holds: undefined };
      }
    }),
  );
}
