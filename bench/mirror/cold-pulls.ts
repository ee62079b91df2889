import { randomBytes } from 'node:crypto';

import { makeImage } from '../../test/support/oci-fixtures.ts';
import { pushImage } from '../../test/support/registry-client.ts';
import type { UpstreamRegistry } from '../../test/support/start-upstream.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { cpuSeconds } from '../measure/cpu-time.ts';
import { runPullLoad } from '../measure/pull-load.ts';
import type { Source } from './mirror-lab.ts';

/** 62 MB, as an ordinary image spreads them over its layers. */
const LAYER_BYTES = [30, 20, 8, 3, 1].map((megabytes) => megabytes * 1_000_000);
const MAX_SECONDS = 60;
const PATIENCE_MS = 60_000;

export interface ColdCase {
  readonly id: string;
  readonly clients: number;
  /** Whether `--quick` runs it. */
  readonly isQuick: boolean;
}

export const COLD_CASES: readonly ColdCase[] = [
  { id: 'mirror-cold', clients: 1, isQuick: true },
  { id: 'mirror-storm-20', clients: 20, isQuick: true },
  { id: 'mirror-storm-50', clients: 50, isQuick: true },
];

/** What one round of a cold case came to. */
export interface ColdSample {
  /** Of a layer: the middle client's. */
  readonly firstByteMs: number;
  /** The slowest client's. */
  readonly slowestFirstByteMs: number;
  /** Until the last client had everything. */
  readonly lastByteMs: number;
  /** How often the upstream was asked for a manifest or blob by GET. */
  readonly upstreamGets: number;
  readonly upstreamMegabytes: number;
  /** Processor time of the mirror. */
  readonly serverSeconds: number | undefined;
}

/** An image that nobody has seen yet, in a repository of its own, at the upstream; answers the repository. */
export async function pushColdImage({ directUrl }: UpstreamRegistry): Promise<string> {
  const repository = `library/cold-${randomBytes(4).toString('hex')}`;
  await pushImage(directUrl, repository, 'latest', makeImage({ layerBytes: LAYER_BYTES }));
  return repository;
}

/** All clients pull the image at once from a source that does not hold it. */
export async function pullCold(
  source: Source,
  upstream: UpstreamRegistry,
  repository: string,
  clients: number,
): Promise<ColdSample> {
  upstream.resetCounts();
  const usedBefore = source.pid === undefined ? undefined : cpuSeconds([source.pid]);
  const times = await runPullLoad({
    url: source.url,
    repository,
    tag: 'latest',
    clients,
    maxSeconds: MAX_SECONDS,
  });
  // A mirror may go on with what its clients have already: that counts, and must not disturb the next.
  await waitFor(() => upstream.underWay() === 0, {
    what: 'the upstream to be left alone',
    timeoutMs: PATIENCE_MS,
  });
  const firstBytes = times.map(({ firstByteMs }) => firstByteMs).sort((a, b) => a - b);
  const sumOf = (counts: ReadonlyMap<string, number>): number =>
    [...counts]
      .filter(([key]) => key.startsWith(`GET /v2/${repository}/`))
      .reduce((sum, [, count]) => sum + count, 0);
  return {
    firstByteMs: firstBytes[(firstBytes.length - 1) >> 1] ?? 0,
    slowestFirstByteMs: firstBytes.at(-1) ?? 0,
    lastByteMs: Math.max(...times.map(({ lastByteMs }) => lastByteMs)),
    upstreamGets: sumOf(upstream.counts),
    upstreamMegabytes: sumOf(upstream.bytes) / 1e6,
    serverSeconds:
      source.pid === undefined || usedBefore === undefined
        ? undefined
        : cpuSeconds([source.pid]) - usedBefore,
  };
}
