import { randomBytes } from 'node:crypto';

import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { pullImage, pushImage } from '../../test/support/registry-client.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { metered, type Sample } from '../cases/case.ts';
import { runGetLoad } from '../measure/get-load.ts';
import { runPullLoad } from '../measure/pull-load.ts';
import type { MirrorLab, Source } from './mirror-lab.ts';

const LAYER_BYTES = 60_000_000;
const WARMING_CLIENTS = 8;
const PATIENCE_MS = 60_000;
const PUSHED = 'bench/warm';

export interface WarmCase {
  readonly id: string;
  readonly title: string;
  readonly unit: 'requests/s' | 'MB/s';
  readonly connections: number;
  /** Whether `--quick` runs it. */
  readonly isQuick: boolean;
}

export const WARM_CASES: readonly WarmCase[] = [
  {
    id: 'mirror-warm-manifest',
    title: 'manifest GET by tag, held',
    unit: 'requests/s',
    connections: 32,
    isQuick: true,
  },
  {
    id: 'mirror-warm-blob',
    title: 'blob GET, 60 MB, held',
    unit: 'MB/s',
    connections: 8,
    isQuick: true,
  },
];

/** An image that the mirrors hold, and the push service as its own. */
export interface WarmImage {
  readonly repository: string;
  readonly image: FixtureImage;
  /** Why a mirror does not hold it. */
  readonly problems: ReadonlyMap<Source, Error>;
}

/** Pulls an image through all mirrors and pushes it to the push service. Resolves when all have served it from all processes. */
export async function warmMirrors({ upstream, mirrors, push }: MirrorLab): Promise<WarmImage> {
  const repository = `library/warm-${randomBytes(4).toString('hex')}`;
  const image = makeImage({ layerBytes: [LAYER_BYTES] });
  await pushImage(upstream.directUrl, repository, 'latest', image);
  const problems = new Map<Source, Error>();
  for (const mirror of mirrors) {
    try {
      await pullImage(mirror.url, repository, 'latest');
      await waitFor(() => upstream.underWay() === 0, {
        what: 'the upstream to be left alone',
        timeoutMs: PATIENCE_MS,
      });
      await pullImage(mirror.url, repository, 'latest');
    } catch (error) {
      problems.set(mirror, error instanceof Error ? error : new Error(String(error)));
    }
  }
  const ready: { url: string; repository: string }[] = mirrors
    .filter((mirror) => !problems.has(mirror))
    .map(({ url }) => ({ url, repository }));
  if (push) {
    // It serves what the mirror holds, and nothing that is still on its way.
    await waitFor(
      async () => (await pullImage(push.url, `mirror/${repository}`, 'latest')).digest !== '',
      { what: 'the image to be held', timeoutMs: PATIENCE_MS },
    );
    await pushImage(push.url, PUSHED, 'latest', image);
    ready.push({ url: push.url, repository: PUSHED });
  }
  // What a process looks up or proves when it serves a blob for the first time is behind it then, for every process.
  for (const each of ready) {
    await runPullLoad({ ...each, tag: 'latest', clients: WARMING_CLIENTS, maxSeconds: 60 });
  }
  return { repository, image, problems };
}

/** Reads from a mirror that holds the image, or from the push service. */
export async function readWarm(
  { id, unit, connections }: WarmCase,
  source: Source,
  { repository, image, problems }: WarmImage,
  { seconds, scratch }: { readonly seconds: number; readonly scratch: string },
): Promise<Sample> {
  const problem = problems.get(source);
  if (problem) throw problem;
  const base = `/v2/${source.name === 'push' ? PUSHED : repository}`;
  const layer = image.blobs.at(-1);
  const isBlob = unit === 'MB/s';
  const path = isBlob ? `blobs/${layer?.digest ?? ''}` : 'manifests/latest';
  return await metered({ pid: source.pid ?? process.pid, backingPids: [] }, async () => {
    const load = {
      url: source.url,
      paths: [`${base}/${path}`],
      method: 'GET',
      connections,
      seconds,
    } as const;
    const { requests, failures, seconds: took, p99Ms } = await runGetLoad(load, scratch);
    if (failures > 0 || requests === 0) {
      throw new Error(`${id} at ${source.name}: ${failures} of ${requests} requests failed`);
    }
    const units = isBlob ? (requests * (layer?.bytes.length ?? 0)) / 1e6 : requests;
    return { units, seconds: took, p99Ms };
  });
}
