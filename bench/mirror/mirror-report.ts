import type { Sample } from '../cases/case.ts';
import { formatRate } from '../run-cases.ts';
import type { ColdCase, ColdSample } from './cold-pulls.ts';
import type { MirrorOutcome, MirrorResult } from './run-mirror.ts';
import type { WarmCase } from './warm-reads.ts';

type Cold = MirrorResult<ColdCase, ColdSample>;
type Warm = MirrorResult<WarmCase, Sample>;

/** What the mirror wants to be: ratios to the upstream's own times, and to the push service's rate. */
const GOALS = { firstByte: 1.1, firstByteMs: 5, lastByte: 1.15, warm: 1 } as const;
const NAMES: Record<Cold['source'], string> = {
  upstream: 'the upstream itself',
  push: "Twinport's push service",
  twinport: 'twinport',
  distribution: 'distribution',
  zot: 'zot',
};

/** The mirrors over one store, in Markdown; nothing when none was measured. */
export function mirrorTables({ cold, warm, leftOut }: MirrorOutcome): string[] {
  const missing = leftOut.map((each) => each.split(' (')[0]);
  return [
    ...coldTable(cold),
    ...warmTable(warm),
    ...(missing.length > 0
      ? [`Pulls nothing through as it is here: ${missing.join(', ')}.`, '']
      : []),
  ];
}

function coldTable(results: readonly Cold[]): string[] {
  if (results.length === 0) return [];
  return [
    'As mirrors, an image of 62 MB that they do not hold yet. First byte: of a layer, since the beginning of the pull, of',
    'the middle client (and the slowest); last byte: of the last client.',
    '',
    '| case | from | first byte | last byte | GETs at the upstream | MB from the upstream | processor time |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...results.map((result) => coldRow(result, results)),
    '',
  ];
}

function coldRow(result: Cold, results: readonly Cold[]): string {
  const { case: each, source } = result;
  const head = `| \`${each.id}\`: ${each.clients === 1 ? 'one client' : `${each.clients} clients at once`} | ${NAMES[source]} |`;
  const median = medianCold(result);
  if (!median) return `${head} failed: ${result.problem ?? 'no sample'} | | | | |`;
  const own = results.find((other) => other.source === 'upstream' && other.case.id === each.id);
  const verdict = source === 'twinport' && each.clients === 1 ? verdictOf(median, own) : undefined;
  const { slowestFirstByteMs, upstreamGets, upstreamMegabytes, serverSeconds } = median;
  const slowest = each.clients === 1 ? '' : ` (${Math.round(slowestFirstByteMs)} ms)`;
  return [
    head,
    `${median.firstByteMs.toFixed(each.clients === 1 ? 1 : 0)} ms${slowest}${verdict?.first ?? ''} |`,
    `${formatRate(median.lastByteMs / 1000)} s${verdict?.last ?? ''} |`,
    `${upstreamGets} |`,
    `${Math.round(upstreamMegabytes)} |`,
    `${serverSeconds === undefined ? '-' : `${formatRate(serverSeconds)} s`} |`,
  ].join(' ');
}

function verdictOf(
  mine: ColdSample,
  own: Cold | undefined,
): { first: string; last: string } | undefined {
  const upstream = own && medianCold(own);
  if (!upstream) return undefined;
  const limit = Math.max(
    upstream.firstByteMs * GOALS.firstByte,
    upstream.firstByteMs + GOALS.firstByteMs,
  );
  return {
    first: `, goal <= ${limit.toFixed(1)} ms: ${said(mine.firstByteMs <= limit)}`,
    last: `, ${(mine.lastByteMs / upstream.lastByteMs).toFixed(2)}x of the upstream's own, goal <= ${GOALS.lastByte}x: ${said(
      mine.lastByteMs <= upstream.lastByteMs * GOALS.lastByte,
    )}`,
  };
}

function warmTable(results: readonly Warm[]): string[] {
  if (results.length === 0) return [];
  return [
    'As mirrors, what they hold:',
    '',
    '| case | from | rate | to the push service |',
    '| --- | --- | --- | --- |',
    ...results.map((result) => {
      const { id, title, unit } = result.case;
      const median = medianWarm(result);
      const push = results.find((other) => other.source === 'push' && other.case.id === id);
      const own = push && medianWarm(push);
      const head = `| \`${id}\`: ${title}, ${unit} | ${NAMES[result.source]} |`;
      if (!median) return `${head} failed: ${result.problem ?? 'no sample'} | |`;
      const ratio = own && result.source !== 'push' ? median.rate / own.rate : undefined;
      const goal = `, goal >= ${GOALS.warm}x: ${said((ratio ?? 0) >= GOALS.warm)}`;
      const micros = `${Math.round(median.serverMicros)} µs`;
      return `${head} ${formatRate(median.rate)} (${micros}) | ${ratio === undefined ? '-' : `${ratio.toFixed(2)}x${result.source === 'twinport' ? goal : ''}`} |`;
    }),
    '',
  ];
}

const said = (isMet: boolean): string => (isMet ? 'met' : '**missed**');

/** The middle one of the rounds, by the last byte. */
const medianCold = ({ samples }: Cold): ColdSample | undefined =>
  samples.toSorted((a, b) => a.lastByteMs - b.lastByteMs)[(samples.length - 1) >> 1];

const medianWarm = ({ samples }: Warm): Sample | undefined =>
  samples.toSorted((a, b) => a.rate - b.rate)[(samples.length - 1) >> 1];
