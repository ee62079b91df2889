import type { ProjectRecord } from '../index/ports.ts';
import { findUpstream, type UpstreamEntry } from './upstream-entry.ts';

/** First segment that says "what follows is a local repository", at either role. */
export const LOCAL_PREFIX = 'local';
/** Where Docker Hub keeps its official images; clients put it before names of one segment. */
export const OFFICIAL_PREFIX = 'library';

export interface ReservedNameRules {
  /** Names with a dot look like registry hosts, which may become upstreams one day. */
  readonly isDottedReserved: boolean;
}

/** Why a new project may not have this name, as a sentence for the person who chose it; undefined when it may. */
export function whyReserved(
  project: string,
  upstreams: readonly UpstreamEntry[],
  rules: ReservedNameRules,
): string | undefined {
  if (project === OFFICIAL_PREFIX) {
    return `"${project}" is where Docker Hub keeps its official images; push under a project name of your own, for example "myteam/…"`;
  }
  if (project === LOCAL_PREFIX) {
    return `"${project}/" is the prefix that names local repositories at the mirror; push without it`;
  }
  const upstream = findUpstream(upstreams, project);
  if (upstream) {
    return `"${project}" names the upstream registry ${upstream.url}, whose images are cached under it; push under a project name of your own`;
  }
  if (rules.isDottedReserved && project.includes('.')) {
    return `"${project}" looks like the host of another registry; push under a project name without a dot`;
  }
  return undefined;
}

/** Local projects whose name means something else at a mirror: they can come from another registry's store alone. */
export function shadowedProjects(
  projects: readonly ProjectRecord[],
  upstreams: readonly UpstreamEntry[],
): string[] {
  return projects
    .filter(({ upstream }) => !upstream)
    .map(({ name }) => name)
    .filter(
      (name) => name === OFFICIAL_PREFIX || name === LOCAL_PREFIX || findUpstream(upstreams, name),
    );
}
