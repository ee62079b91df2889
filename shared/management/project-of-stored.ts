import { LRUCache } from 'lru-cache';

import type { Projects } from '../content/projects.ts';
import type { ProjectRecord } from '../index/ports.ts';
import { firstSegment, type RepositoryName } from '../oci/reference.ts';

const ABSENT_MS = 5_000;

/**
 * The project of a repository of the store. What has a repository has had its project before: that there is none, because
 * it is a cached one, may be remembered for a while. Whoever lists repositories asks for each of them.
 */
export function projectOfStored(
  projects: Pick<Projects, 'find'>,
): (name: RepositoryName, signal: AbortSignal) => Promise<ProjectRecord | undefined> {
  const absent = new LRUCache<string, true>({ max: 1_000, ttl: ABSENT_MS });
  return async (name, signal) => {
    const first = firstSegment(name);
    if (absent.has(first)) return undefined;
    const project = await projects.find(first, signal);
    if (!project) absent.set(first, true);
    return project;
  };
}
