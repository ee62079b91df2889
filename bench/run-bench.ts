import { loadavg } from 'node:os';

import { installTools } from '../test/support/install-tools.ts';
import { MISSING_TOOLS_VARIABLE } from '../test/support/find-tool.ts';
import type { Case, CaseContext } from './cases/case.ts';
import { CATALOG_CASE } from './cases/catalog-case.ts';
import { GET_CASES } from './cases/get-cases.ts';
import { measureMemory, type MemoryResult } from './cases/memory.ts';
import { PUSH_CASES } from './cases/push-cases.ts';
import { chosenMirrorCases, type MirrorOutcome, runMirror } from './mirror/run-mirror.ts';
import type { BenchOptions } from './options.ts';
import { type CaseResult, runCases } from './run-cases.ts';
import { makeSeed } from './seed/content.ts';
import { type Lab, openLab } from './subjects/lab.ts';
import { programOf, startSubject } from './subjects/start-subject.ts';
import type { StoreKind, Subject, SubjectName } from './subjects/subject.ts';
import { warmUp } from './warm-up.ts';

/** What came of a run. */
export interface BenchOutcome {
  readonly startedAt: Date;
  readonly minutes: number;
  /** Processes that wanted to run in the minute before the run: whether the machine was quiet. */
  readonly loadBefore: number;
  readonly results: readonly CaseResult[];
  readonly memory: readonly { readonly store: StoreKind; readonly result: MemoryResult }[];
  /** One for each store. */
  readonly mirror: readonly MirrorOutcome[];
  /** Registries that could not be measured, and why. */
  readonly absent: readonly string[];
}

const TOOLS = ['minio', 'redis-server', 'registry', 'wrk', 'hey'] as const;
const MEMORY_SECONDS = { quick: 15, full: 45 };
const ALL_CASES: readonly Case[] = [...GET_CASES, ...PUSH_CASES, CATALOG_CASE];

/** Fills the stores, starts the registries and measures them store by store. */
export async function runBench(
  options: BenchOptions,
  print: (line: string) => void,
): Promise<BenchOutcome> {
  const startedAt = new Date();
  const loadBefore = loadavg()[0] ?? 0;
  const missing = await installTools((line) => print(`set-up: ${line}`), TOOLS);
  process.env[MISSING_TOOLS_VARIABLE] = JSON.stringify(missing);
  const names = options.subjects.filter((name) => programOf(name) !== undefined);
  const absent = options.subjects.filter((name) => !names.includes(name));
  const cases = chosenCases(options);
  const mirrorCases = chosenMirrorCases(options);
  // Where the mirror alone is asked for, nothing else need be filled and warmed.
  const isMirrorAlone = cases.length === 0 && mirrorCases.cold.length + mirrorCases.warm.length > 0;
  const seed = makeSeed(isMirrorAlone ? 0 : options.manifests);
  const lab = await openLab({ seed, stores: options.stores, subjects: names, print });
  const results: CaseResult[] = [];
  const memory: { store: StoreKind; result: MemoryResult }[] = [];
  const mirror: MirrorOutcome[] = [];
  const context: CaseContext = { seed, seconds: options.seconds, scratch: lab.scratch };
  try {
    for (const store of options.stores) {
      if (!isMirrorAlone) {
        const subjects = await startAll(names, lab, store, options);
        try {
          const warm = await warmUp(subjects, seed, options.isQuick, print);
          const { rounds } = options;
          results.push(...(await runCases({ cases, subjects: warm, rounds, context, print })));
        } finally {
          for (const subject of subjects) await subject.stop();
        }
      }
      mirror.push(await runMirror({ lab, store, names, options, print }));
      if (options.withMemory && !isMirrorAlone && names.includes('twinport')) {
        memory.push({ store, result: await memoryOf(lab, store, options, print) });
      }
    }
  } finally {
    await lab.close();
  }
  const minutes = (Date.now() - startedAt.getTime()) / 60_000;
  return { startedAt, minutes, loadBefore, results, mirror, memory, absent };
}

function chosenCases({ cases, isQuick }: BenchOptions): Case[] {
  return ALL_CASES.filter(
    ({ id, ...each }) =>
      (each.isQuick || !isQuick || cases.length > 0) &&
      (cases.length === 0 || cases.some((word) => id.includes(word))),
  );
}

async function startAll(
  names: readonly SubjectName[],
  lab: Lab,
  store: StoreKind,
  { env }: BenchOptions,
): Promise<Subject[]> {
  const subjects: Subject[] = [];
  try {
    for (const name of names) subjects.push(await startSubject(name, { lab, store, env }));
    return subjects;
  } catch (error) {
    for (const subject of subjects) await subject.stop();
    throw error;
  }
}

/** In a process of its own: what it had served before would count otherwise. */
async function memoryOf(
  lab: Lab,
  store: StoreKind,
  { env, isQuick }: BenchOptions,
  print: (line: string) => void,
): Promise<MemoryResult> {
  const subject = await startSubject('twinport', { lab, store, env });
  try {
    const result = await measureMemory(subject, MEMORY_SECONDS[isQuick ? 'quick' : 'full']);
    const mb = (bytes: number): number => Math.round(bytes / 1e6);
    print(`${store} memory: ${mb(result.atRest)} MB at rest, ${mb(result.peak)} MB under load`);
    return result;
  } finally {
    await subject.stop();
  }
}
