import { cpus, totalmem } from 'node:os';

import type { Sample } from './cases/case.ts';
import { GOALS, MEMORY_GOALS } from './goals.ts';
import { mirrorTables } from './mirror/mirror-report.ts';
import type { BenchOptions } from './options.ts';
import type { BenchOutcome } from './run-bench.ts';
import { type CaseResult, formatRate, medianSample } from './run-cases.ts';
import type { StoreKind, SubjectName } from './subjects/subject.ts';

const BEGIN = '<!-- measured: begin -->';
const END = '<!-- measured: end -->';
const PEERS = ['distribution', 'zot'] as const;
const STORES: Record<StoreKind, string> = { files: 'Files', s3: 'S3 and Redis' };

/** The page with its measured part replaced. Throws when it has none. */
export function withReport(page: string, report: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the page has no ${BEGIN} … ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${report}\n${page.slice(end)}`;
}

/** What came of a run, in Markdown. */
export function renderReport(options: BenchOptions, outcome: BenchOutcome): string {
  const { results } = outcome;
  const stores = options.stores.flatMap((store) => {
    const ofStore = results.filter((result) => result.store === store);
    return [
      `### ${STORES[store]}`,
      '',
      ...(ofStore.length > 0 ? [...casesTable(ofStore), ''] : []),
      ...outcome.mirror.filter((each) => each.store === store).flatMap(mirrorTables),
    ];
  });
  const goals = ['### Against the goals', '', ...goalsTable(results), ''];
  return [
    ...surroundings(options, outcome),
    '',
    ...(results.length > 0 ? goals : []),
    ...stores,
    ...memoryTable(outcome),
  ].join('\n');
}

function surroundings(options: BenchOptions, outcome: BenchOutcome): string[] {
  const { startedAt, minutes, loadBefore, absent } = outcome;
  const [cpu] = cpus();
  return [
    `Measured on ${startedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC in ${Math.round(minutes)} minutes by`,
    '',
    '```sh',
    options.commandLine,
    '```',
    '',
    `on ${cpus().length} processors (${cpu?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB of memory,`,
    `Node ${process.versions.node}. Load of the machine before the run: ${loadBefore.toFixed(2)}${
      loadBefore > 0.5 ? ' (**not quiet**: read the ratios with care)' : ''
    }.`,
    ...(outcome.results.length > 0
      ? [
          `${options.manifests.toLocaleString('en')} manifests in ${Math.ceil(options.manifests / 4).toLocaleString('en')} repositories;`,
        ]
      : []),
    `medians of ${options.rounds} interleaved rounds${options.rounds > 1 ? '' : ' (one: a glance, not a result)'}.`,
    ...(absent.length > 0 ? [`Not on this machine: ${absent.join(', ')}.`] : []),
  ];
}

function goalsTable(results: readonly CaseResult[]): string[] {
  const rows = GOALS.map(({ work, store, cases, atLeast }) => {
    const ids = [
      ...new Set(
        results
          .filter((each) => each.store === store && each.case.id.startsWith(cases))
          .map((each) => each.case.id),
      ),
    ];
    const cells = PEERS.map((peer) => {
      const ratios = ids.map((id) => ({ id, ratio: ratioOf(results, store, id, peer) }));
      const known = ratios.filter(
        (each): each is { id: string; ratio: number } => each.ratio !== undefined,
      );
      const worst = known.toSorted((a, b) => a.ratio - b.ratio)[0];
      const goal = atLeast[peer];
      if (!worst || goal === undefined) return `>= ${goal ?? '-'}x | -`;
      const verdict = worst.ratio >= goal ? 'met' : '**missed**';
      const range = known.length > 1 ? `, worst in \`${worst.id}\`` : '';
      return `>= ${goal}x | ${formatRatio(worst.ratio)}, ${verdict}${range}`;
    });
    return `| ${work}, ${STORES[store]} | ${cells.join(' | ')} |`;
  });
  return [
    '| work | goal against distribution | measured | goal against zot | measured |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ];
}

function casesTable(results: readonly CaseResult[]): string[] {
  const ids = [...new Set(results.map((result) => result.case.id))];
  const names = [...new Set(results.map((result) => result.subject))];
  const peers = names.filter((name) => name !== 'twinport');
  const store = results[0]?.store ?? 'files';
  const rows = ids.map((id) => {
    const first = results.find((result) => result.case.id === id);
    const cells = names.map((name) => absolute(findResult(results, store, id, name)));
    const ratios = peers.map((peer) => {
      const ratio = ratioOf(results, store, id, peer);
      return ratio === undefined ? '-' : formatRatio(ratio);
    });
    return `| \`${id}\`: ${first?.case.title ?? ''}, ${first?.case.unit ?? ''} | ${[...cells, ...ratios].join(' | ')} |`;
  });
  return [
    `| case | ${[...names, ...peers.map((peer) => `to ${peer}`)].join(' | ')} |`,
    `| --- |${' --- |'.repeat(names.length + peers.length)}`,
    ...rows,
  ];
}

function memoryTable({ memory }: BenchOutcome): string[] {
  if (memory.length === 0) return [];
  const mb = (bytes: number): number => Math.round(bytes / 1e6);
  return [
    '### Memory of the largest process of Twinport',
    '',
    `| store | at rest (goal < ${MEMORY_GOALS.atRest} MB) | peak with 64 pulls and 16 pushes of 1 GB (goal < ${MEMORY_GOALS.underLoad} MB) |`,
    '| --- | --- | --- |',
    ...memory.map(({ store, result }) => {
      const { atRest, peak, gigabytesPulled, isPushed, seconds } = result;
      const moved = `${Math.round(gigabytesPulled)} GB pulled, pushes ${isPushed ? 'done' : 'still running'} after ${Math.round(seconds)} s`;
      return `| ${STORES[store]} | ${mb(atRest)} MB | ${mb(peak)} MB (${moved}) |`;
    }),
    '',
  ];
}

/** The rate with the processor time of the registry (and of its backing) for each request or megabyte. */
function absolute(result: CaseResult | undefined): string {
  const median = result && medianSample(result);
  if (!result || !median) return result?.problem ? 'failed' : '-';
  return result.case.unit === 's'
    ? formatRate(median.rate)
    : `${formatRate(median.rate)} (${used(median)})`;
}

function used({ serverMicros, backingMicros, loadShare, p99Ms }: Sample): string {
  const backing = backingMicros > 0 ? ` + ${Math.round(backingMicros)}` : '';
  const late = p99Ms === undefined ? '' : `, p99 ${p99Ms.toFixed(1)} ms`;
  return `${Math.round(serverMicros)}${backing} µs, load ${Math.round(loadShare * 100)} %${late}`;
}

function ratioOf(
  results: readonly CaseResult[],
  store: StoreKind,
  id: string,
  peer: SubjectName,
): number | undefined {
  const mine = findResult(results, store, id, 'twinport');
  const theirs = findResult(results, store, id, peer);
  const [a, b] = [mine, theirs].map((result) => result && medianSample(result)?.rate);
  if (mine === undefined || a === undefined || b === undefined) return undefined;
  return mine.case.unit === 's' ? b / a : a / b;
}

const findResult = (
  results: readonly CaseResult[],
  store: StoreKind,
  id: string,
  subject: SubjectName,
): CaseResult | undefined =>
  results.find((each) => each.store === store && each.case.id === id && each.subject === subject);

const formatRatio = (ratio: number): string =>
  `${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(2)}x`;
