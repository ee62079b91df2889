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
    const samples = new Map(subjects.map((subject) => [subject, [] as Sample[]]));
    const problems = new Map<Subject, string>();
    for (const subject of subjects) {
      // What is wrong with it the first round tells.
      await each.warmUp?.(subject).catch(() => undefined);
    }
    const slow = new Set<Subject>();
    for (let round = 0; round < rounds; round += 1) {
      for (let turn = 0; turn < subjects.length; turn += 1) {
        const subject = subjects[(round + turn) % subjects.length];
        if (!subject || problems.has(subject) || slow.has(subject)) continue;
        await runSuccessfully('sync', [], { timeoutMs: 300_000 });
        const startedAt = performance.now();
        try {
          samples.get(subject)?.push(await each.run(subject, context));
        } catch (error) {
          problems.set(subject, error instanceof Error ? error.message : String(error));
        }
        if (performance.now() - startedAt > SLOW_MS) slow.add(subject);
      }
    }
    for (const subject of subjects) {
      const { name, store } = subject;
      const problem = problems.get(subject);
      const result: CaseResult = {
        case: each,
        subject: name,
        store,
        samples: problem === undefined ? (samples.get(subject) ?? []) : [],
        ...(problem === undefined ? {} : { problem }),
      };
      results.push(result);
      print(lineOf(result));
    }
  }
  return results;
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
