import { isServableCache, meaningAtPush } from '../content/local-name.ts';
import type { Projects } from '../content/projects.ts';
import { type ReservedNameRules, whyReserved } from '../content/reserved-names.ts';
import { findUpstream } from '../content/upstream-entry.ts';
import type { UpstreamTable } from '../content/upstream-table.ts';
import type { OriginIndex } from '../index/ports.ts';
import { firstSegment, type RepositoryName } from '../oci/reference.ts';
import { projectOfStored } from './project-of-stored.ts';
import type { NamePlace } from './project-policy.ts';

export interface PlaceAtPushDependencies {
  readonly projects: Projects;
  readonly upstreams: UpstreamTable;
  readonly rules: ReservedNameRules;
}

type PlaceOf = (name: RepositoryName, signal: AbortSignal) => Promise<NamePlace>;

/** Where names lead at the push service. What is cached of upstreams there is served only when it is proved public. */
export function placeAtPush({ projects, upstreams, rules }: PlaceAtPushDependencies): PlaceOf {
  return async (name, signal) => {
    const table = await upstreams.entries(signal);
    const meaning = await meaningAtPush(name, table, projects, signal);
    if (!meaning) {
      // The bare name of a project that caches an upstream: no repository, but who may see the project goes by its record.
      const project = await projects.find(firstSegment(name), signal);
      return { kind: 'project', project, isFree: false };
    }
    if (meaning.kind === 'cached') {
      const project = await projects.find(meaning.upstream.project, signal);
      // Who may pull what a project caches is what its record says.
      if (project?.upstream) return { kind: 'project', project, isFree: false };
      return { kind: 'upstream', isShared: false };
    }
    const first = firstSegment(meaning.repository);
    const project = await projects.find(first, signal);
    const isFree = !project && whyReserved(first, table, rules) === undefined;
    return { kind: 'project', project, isFree };
  };
}

/** The same for the catalog: what is cached and not served here is not listed, for it may be private at its upstream. */
export function placeOfStoredAtPush(
  { projects, upstreams }: Pick<PlaceAtPushDependencies, 'projects' | 'upstreams'>,
  origins: OriginIndex,
): PlaceOf {
  const projectOf = projectOfStored(projects);
  return async (name, signal) => {
    const project = await projectOf(name, signal);
    if (project) return { kind: 'project', project, isFree: false };
    const upstream = findUpstream(await upstreams.entries(signal), firstSegment(name));
    return upstream && (await isServableCache(name, upstream, origins, signal))
      ? { kind: 'upstream', isShared: false }
      : { kind: 'project', project: undefined, isFree: false };
  };
}
