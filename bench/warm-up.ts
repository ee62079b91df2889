import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import pLimit from 'p-limit';

import { ACCEPT } from './measure/accept.ts';
import type { Seed } from './seed/content.ts';
import type { Subject } from './subjects/subject.ts';

/** Twinport keeps nothing in a Redis that it meets for the first time until this is over (docs/architecture.md). */
export const COLD_REDIS_MS = 36_000;
const AT_ONCE = 24;
/**
 * A registry of several processes has a cache in each, and nobody chooses which of them answers: of two, after three
 * passes by tag and by digest, each has met all but one in 64 of the manifests.
 */
const PASSES = 3;
/**
 * A blob is hashed when a process serves all of it for the first time in an hour, which must not fall into a
 * measurement. Each pass has connections of its own: after these, of two processes each has served each blob but for one
 * time in 128.
 */
const BLOB_PASSES = 8;

/**
 * Asks every registry for everything that will be asked, several times, so that all caches that it has are filled.
 * Resolves with those that answered; one that did not is named and left out.
 */
export async function warmUp(
  subjects: readonly Subject[],
  seed: Seed,
  isQuick: boolean,
  print: (line: string) => void,
): Promise<Subject[]> {
  const warm: Subject[] = [];
  if (subjects.some(({ name, store }) => name === 'twinport' && store === 's3')) {
    await delay(COLD_REDIS_MS);
  }
  const manifests = seed.manifests.flatMap(({ repository, tag, digest }) => [
    `/v2/${repository}/manifests/${tag}`,
    `/v2/${repository}/manifests/${digest}`,
  ]);
  const blobs = Object.values(seed.blobs).map(
    ({ digest }) => `/v2/${seed.blobRepository}/blobs/${digest}`,
  );
  for (const subject of subjects) {
    const { name, store, url } = subject;
    const startedAt = performance.now();
    // What answers from its store each time has nothing to warm but its connections.
    const isCaching = name !== 'zot' || isQuick;
    const limit = pLimit(AT_ONCE);
    const paths = isCaching ? manifests : manifests.slice(0, 4_000);
    const passes = name === 'zot' ? 1 : PASSES;
    const blobPasses = name === 'zot' ? 1 : BLOB_PASSES;
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const once = new Agent({ keepAlive: false, maxSockets: AT_ONCE });
    try {
      for (let pass = 1; pass <= passes; pass += 1) {
        await Promise.all(paths.map((path) => limit(() => read(agent, `${url}${path}`))));
      }
      for (let pass = 1; pass <= blobPasses; pass += 1) {
        await Promise.all(blobs.map((path) => limit(() => read(once, `${url}${path}`))));
      }
      warm.push(subject);
    } catch (error) {
      print(`${name} on ${store} is left out: ${String(error)}`);
      limit.clearQueue();
      continue;
    } finally {
      agent.destroy();
      once.destroy();
    }
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    print(
      `warmed ${name} on ${store} with ${passes * paths.length + blobPasses * blobs.length} requests in ${seconds} s`,
    );
  }
  return warm;
}

/** Rejects unless the whole answer came, and was one of success. */
function read(agent: Agent, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers: { Accept: ACCEPT } }, (answer) => {
      answer.resume();
      answer.once('end', () => {
        if (answer.statusCode === 200) resolve();
        else reject(new Error(`${url} answered ${answer.statusCode ?? 0}`));
      });
      answer.once('error', reject);
    });
    request.once('error', reject);
  });
}
