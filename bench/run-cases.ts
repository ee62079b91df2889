import { runSuccessfully } from '../test/support/run-command.ts';
import type { Case, CaseContext, Sample } from './cases/case.ts';
import type { Subject } from './subjects/subject.ts';

/** All rounds of one case at one registry. */
export interface CaseResult {
  readonly case: Case;
  readonly subject: Subject['name'];
  readonly store: Subject['store'];
  readonly samples: readonly Sample[];
  /** Why there is no sample. */
  readonly problem?: string;
}

/** A registry that takes longer than this for a round has that one alone. */
const SLOW_MS = 20_000;

export interface RunOptions {
  readonly cases: readonly Case[];
  /** All over one store. */
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly context: CaseContext;
  readonly print: (line: string) => void;
}

/**
 * Measures every case at every registry, in turns: each round begins with another registry, so that what the machine
 * does beside us falls on all alike. Before each measurement the disk is let come to rest, so that nobody pays for what
 * another left to be written.
 */
export async function runCases(options: RunOptions): Promise<CaseResult[]> {
  const { cases, subjects, rounds, context, print } = options;
  const results: CaseResult[] = [];
  for (const each of cases) {
    const measured = subjects.map((subject) => new MeasuredCase(each, subject));
    for (const { subject } of measured) {
      // What is wrong with it the first round tells.
      await each.warmUp?.(subject).catch(() => undefined);
    }
    for (let round = 0; round < rounds; round += 1) {
      for (let turn = 0; turn < measured.length; turn += 1) {
        await measured[(round + turn) % measured.length]?.run(context);
      }
    }
    for (const { result } of measured) {
      results.push(result);
      print(lineOf(result));
    }
  }
  return results;
}

/** The rounds of one case at one registry: no more after one that failed or took long. */
class MeasuredCase {
  readonly subject: Subject;
  readonly #case: Case;
  readonly #samples: Sample[] = [];
  #problem: string | undefined;
  #isSlow = false;

  constructor(each: Case, subject: Subject) {
    this.#case = each;
    this.subject = subject;
  }

  get result(): CaseResult {
    const { name, store } = this.subject;
    const problem = this.#problem;
    return {
      case: this.#case,
      subject: name,
      store,
      samples: problem === undefined ? this.#samples : [],
      ...(problem !== undefined && { problem }),
    };
  }

  async run(context: CaseContext): Promise<void> {
    if (this.#isSlow || this.#problem !== undefined) return;
    await runSuccessfully('sync', [], { timeoutMs: 300_000 });
    const startedAt = performance.now();
    try {
      this.#samples.push(await this.#case.run(this.subject, context));
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
    }
    this.#isSlow = performance.now() - startedAt > SLOW_MS;
  }
}

/** The middle one of the rounds, by the rate; undefined when there is none. */
export function medianSample({ samples }: CaseResult): Sample | undefined {
  return samples.toSorted((a, b) => a.rate - b.rate)[Math.floor((samples.length - 1) / 2)];
}

function lineOf(result: CaseResult): string {
  const median = medianSample(result);
  const place = `${result.store.padEnd(5)} ${result.case.id.padEnd(22)} ${result.subject.padEnd(12)}`;
  if (!median) return `${place} ${result.problem ?? 'no sample'}`;
  const { rate, serverMicros, backingMicros, loadShare } = median;
  return [
    place,
    `${formatRate(rate)} ${result.case.unit}`.padStart(18),
    `server ${Math.round(serverMicros)} us`,
    `store ${Math.round(backingMicros)} us`,
    `load generator ${Math.round(loadShare * 100)} %`,
  ].join('  ');
}

/** Three significant digits or so, without exponents. */
export function formatRate(rate: number): string {
  return rate >= 100 ? Math.round(rate).toLocaleString('en') : rate.toPrecision(3);
}
