import { runSuccessfully } from '../../test/support/run-command.ts';
import type { Sample } from '../cases/case.ts';
import type { BenchOptions } from '../options.ts';
import type { Lab } from '../subjects/lab.ts';
import type { StoreKind, SubjectName } from '../subjects/subject.ts';
import {
  COLD_CASES,
  type ColdCase,
  type ColdSample,
  pullCold,
  pushColdImage,
} from './cold-pulls.ts';
import { type MirrorLab, openMirrorLab, type Source } from './mirror-lab.ts';
import { readWarm, WARM_CASES, type WarmCase, warmMirrors } from './warm-reads.ts';

/** All rounds of one case of the mirror at one source. */
export interface MirrorResult<Case, Result> {
  readonly case: Case;
  readonly source: Source['name'];
  readonly samples: readonly Result[];
  /** Why there is no sample. */
  readonly problem?: string;
}

export interface MirrorOutcome {
  readonly store: StoreKind;
  /** Registries that could not be measured as mirrors, with why. */
  readonly leftOut: readonly string[];
  readonly cold: readonly MirrorResult<ColdCase, ColdSample>[];
  readonly warm: readonly MirrorResult<WarmCase, Sample>[];
}

export interface MirrorRun {
  readonly lab: Lab;
  readonly store: StoreKind;
  readonly names: readonly SubjectName[];
  readonly options: BenchOptions;
  readonly print: (line: string) => void;
}

/** Those of the cases of the mirror that the options ask for. */
export function chosenMirrorCases({ cases, isQuick }: BenchOptions): {
  cold: readonly ColdCase[];
  warm: readonly WarmCase[];
} {
  const isChosen = (each: { id: string; isQuick: boolean }): boolean =>
    (each.isQuick || !isQuick || cases.length > 0) &&
    (cases.length === 0 || cases.some((word) => each.id.includes(word)));
  return { cold: COLD_CASES.filter(isChosen), warm: WARM_CASES.filter(isChosen) };
}

/** Measures the mirrors over one store: cold pulls of images that are new in each round, then what is held. */
export async function runMirror(run: MirrorRun): Promise<MirrorOutcome> {
  const { lab, store, names, options, print } = run;
  const { cold, warm } = chosenMirrorCases(options);
  if (cold.length + warm.length === 0) return { store, leftOut: [], cold: [], warm: [] };
  const mirrorLab = await openMirrorLab(names, { lab, store, env: options.env });
  for (const each of mirrorLab.leftOut) print(`${store} left out as a mirror: ${each}`);
  try {
    return {
      store,
      leftOut: mirrorLab.leftOut,
      cold: await runCold(cold, mirrorLab, run),
      warm: warm.length === 0 ? [] : await runWarm(warm, mirrorLab, run),
    };
  } finally {
    await mirrorLab.close();
  }
}

async function runCold(
  cases: readonly ColdCase[],
  { upstream, direct, mirrors }: MirrorLab,
  run: MirrorRun,
): Promise<MirrorResult<ColdCase, ColdSample>[]> {
  const results: MirrorResult<ColdCase, ColdSample>[] = [];
  for (const each of cases) {
    const repositories: string[] = [];
    results.push(
      ...(await inTurns(each, [direct, ...mirrors], run, async (source, round) => {
        const repository = (repositories[round] ??= await pushColdImage(upstream));
        return await pullCold(source, upstream, repository, each.clients);
      })),
    );
  }
  return results;
}

async function runWarm(
  cases: readonly WarmCase[],
  mirrorLab: MirrorLab,
  run: MirrorRun,
): Promise<MirrorResult<WarmCase, Sample>[]> {
  const { mirrors, push } = mirrorLab;
  const image = await warmMirrors(mirrorLab);
  const context = { seconds: run.options.seconds, scratch: run.lab.scratch };
  const sources = push ? [push, ...mirrors] : mirrors;
  const results: MirrorResult<WarmCase, Sample>[] = [];
  for (const each of cases) {
    results.push(
      ...(await inTurns(each, sources, run, (source) => readWarm(each, source, image, context))),
    );
  }
  return results;
}

/** As the other cases: each round begins with another, after the disk has come to rest; a failure ends a source's part. */
async function inTurns<Case extends { readonly id: string }, Result>(
  each: Case,
  sources: readonly Source[],
  { store, options, print }: MirrorRun,
  measure: (source: Source, round: number) => Promise<Result>,
): Promise<MirrorResult<Case, Result>[]> {
  const samples = new Map(sources.map((source) => [source, [] as Result[]]));
  const problems = new Map<Source, string>();
  for (let round = 0; round < options.rounds; round += 1) {
    for (let turn = 0; turn < sources.length; turn += 1) {
      const source = sources[(round + turn) % sources.length];
      if (!source || problems.has(source)) continue;
      await runSuccessfully('sync', [], { timeoutMs: 300_000 });
      try {
        samples.get(source)?.push(await measure(source, round));
      } catch (error) {
        problems.set(source, error instanceof Error ? error.message : String(error));
      }
    }
  }
  return sources.map((source) => {
    const problem = problems.get(source);
    const result: MirrorResult<Case, Result> = {
      case: each,
      source: source.name,
      samples: problem === undefined ? (samples.get(source) ?? []) : [],
      ...(problem === undefined ? {} : { problem }),
    };
    print(lineOf(store, each.id, result));
    return result;
  });
}

function lineOf<Result>(
  store: StoreKind,
  id: string,
  { source, samples, problem }: MirrorResult<unknown, Result>,
): string {
  const what = problem ?? samples.map((sample) => JSON.stringify(sample)).join(' ');
  return `${store.padEnd(5)} ${id.padEnd(22)} ${source.padEnd(12)} ${what}`;
}
