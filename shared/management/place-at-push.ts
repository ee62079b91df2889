import { meaningAtPush } from '../content/local-name.ts';
import type { Projects } from '../content/projects.ts';
import { type ReservedNameRules, whyReserved } from '../content/reserved-names.ts';
import type { UpstreamTable } from '../content/upstream-table.ts';
import { firstSegment, type RepositoryName } from '../oci/reference.ts';
import type { NamePlace } from './project-policy.ts';

export interface PlaceAtPushDependencies {
  readonly projects: Projects;
  readonly upstreams: UpstreamTable;
  readonly rules: ReservedNameRules;
}

/** Where names lead at the push service. What is cached of upstreams there is served only when it is proved public. */
export function placeAtPush({
  projects,
  upstreams,
  rules,
}: PlaceAtPushDependencies): (name: RepositoryName, signal: AbortSignal) => Promise<NamePlace> {
  return async (name, signal) => {
    const table = await upstreams.entries(signal);
    const meaning = await meaningAtPush(name, table, projects, signal);
    if (!meaning) return { kind: 'project', project: undefined, isFree: false };
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
