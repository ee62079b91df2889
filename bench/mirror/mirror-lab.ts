import { setTimeout as delay } from 'node:timers/promises';

import { makeImage } from '../../test/support/oci-fixtures.ts';
import { OwnedServers } from '../../test/support/owned-servers.ts';
import { pushImage } from '../../test/support/registry-client.ts';
import { startUpstream, type UpstreamRegistry } from '../../test/support/start-upstream.ts';
import { runPullLoad } from '../measure/pull-load.ts';
import type { Started } from '../subjects/start-subject.ts';
import type { SubjectName } from '../subjects/subject.ts';
import { COLD_REDIS_MS } from '../warm-up.ts';
import { type MirrorOptions, startMirror, startTwinportRole } from './start-mirror.ts';

/** Small images by which a mirror shows that it is one, and in all of its processes runs its code for the first time. */
const PROBES = Array.from({ length: 5 }, (_, position) => `library/probe-${position}`);
const PROBING_CLIENTS = 4;

/** Whom a client pulls from: a mirror, or the upstream itself by way of the counter. */
export interface Source {
  readonly name: SubjectName | 'upstream' | 'push';
  readonly url: string;
  readonly pid: number | undefined;
}

/** An upstream that counts, the mirrors before it, and Twinport's push service over the store of its mirror. */
export interface MirrorLab {
  readonly upstream: UpstreamRegistry;
  readonly direct: Source;
  readonly mirrors: readonly Source[];
  /** Those that cannot pull through, with why: a zot that was built without sync, for example. */
  readonly leftOut: readonly string[];
  /** Only with Twinport among the mirrors. */
  readonly push: Source | undefined;
  close(): Promise<void>;
}

export async function openMirrorLab(
  names: readonly SubjectName[],
  options: Omit<MirrorOptions, 'upstreamUrl'>,
): Promise<MirrorLab> {
  const servers = new OwnedServers();
  try {
    const upstream = await servers.own(startUpstream());
    const mirrorOptions = { ...options, upstreamUrl: upstream.url };
    const mirrors: Source[] = [];
    const leftOut: string[] = [];
    for (const probe of PROBES) await pushImage(upstream.directUrl, probe, 'latest', makeImage());
    const own = async (name: Source['name'], starting: Promise<Started>): Promise<Source> => {
      const { url, pid } = await servers.own(starting);
      return { name, url, pid };
    };
    for (const name of names) {
      const mirror = await own(name, startMirror(name, mirrorOptions));
      try {
        for (const repository of PROBES) await probe(mirror, repository);
        mirrors.push(mirror);
      } catch (error) {
        leftOut.push(`${name} (${error instanceof Error ? error.message : String(error)})`);
      }
    }
    const push = names.includes('twinport')
      ? await own('push', startTwinportRole('push', mirrorOptions))
      : undefined;
    if (push && options.store === 's3') await delay(COLD_REDIS_MS);
    return {
      upstream,
      direct: { name: 'upstream', url: upstream.url, pid: undefined },
      mirrors,
      leftOut,
      push,
      close: () => servers.stopAll(),
    };
  } catch (error) {
    await servers.stopAll();
    throw error;
  }
}

async function probe({ url }: Source, repository: string): Promise<void> {
  await runPullLoad({ url, repository, tag: 'latest', clients: PROBING_CLIENTS, maxSeconds: 30 });
}
