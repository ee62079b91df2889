import type { Log } from '../../observability/observer.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import { type DeletingMarks, type Mark, markName } from './deleting-marks.ts';
import type { RemovalTiming } from './removal-timing.ts';

export interface AbandonedMarksOptions {
  readonly marks: DeletingMarks;
  readonly clock: Clock;
  readonly timing: RemovalTiming;
}

/**
 * Drops marks that a dead process left. A mark counts as abandoned when this process has seen it for so long by its own
 * clock: no two clocks are ever compared. A run without its marks removes nothing, and loses them before any `keep` goes
 * that was set because of it.
 */
export class AbandonedMarks {
  readonly #options: AbandonedMarksOptions;
  readonly #firstSeenMs = new Map<string, number>();

  constructor(options: AbandonedMarksOptions) {
    this.#options = options;
  }

  /** Looks for them until the signal aborts; what fails is logged and tried again. */
  async run(log: Log, signal: AbortSignal): Promise<void> {
    const { clock, timing } = this.#options;
    for (;;) {
      try {
        await clock.sleep(timing.lookMs, signal);
        const dropped = await this.drop(signal);
        if (dropped > 0) {
          log.info({ operation: 'removal.marks', dropped }, 'marks of a dead removal were dropped');
        }
      } catch (error) {
        if (signal.aborted) return;
        log.warn(
          { operation: 'removal.marks', err: error },
          'looking for marks of dead removals failed',
        );
      }
    }
  }

  /** To be called again and again. Returns how many it dropped. */
  async drop(signal: AbortSignal): Promise<number> {
    const { marks, clock, timing } = this.#options;
    const nowMs = clock.monotonicMs();
    const present = new Map((await marks.listNow(signal)).map((mark) => [markName(mark), mark]));
    for (const name of this.#firstSeenMs.keys()) {
      if (!present.has(name)) this.#firstSeenMs.delete(name);
    }
    const abandoned: Mark[] = [];
    for (const [name, mark] of present) {
      const firstSeenMs = this.#firstSeenMs.get(name) ?? nowMs;
      this.#firstSeenMs.set(name, firstSeenMs);
      const lifeMs = mark.phase === 'removing' ? timing.abandonedFinalMs : timing.abandonedMs;
      if (nowMs - firstSeenMs >= lifeMs) abandoned.push(mark);
    }
    const isKeep = ({ phase }: Mark): number => Number(phase === 'keep');
    for (const mark of abandoned.sort((a, b) => isKeep(a) - isKeep(b))) {
      await marks.delete(mark, signal);
    }
    return abandoned.length;
  }
}
