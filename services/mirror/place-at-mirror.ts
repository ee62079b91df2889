import type { MirrorNames } from '../../shared/content/mirror-names.ts';
import type { Projects } from '../../shared/content/projects.ts';
import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import type { NamePlace } from '../../shared/management/project-policy.ts';
import { projectOfStored } from '../../shared/management/project-of-stored.ts';
import { firstSegment, type RepositoryName } from '../../shared/oci/reference.ts';

type PlaceOf = (name: RepositoryName, signal: AbortSignal) => Promise<NamePlace>;

/** Where names lead at the mirror, as rights are asked for: without an `ns` (access-name.ts). Nothing is made here. */
export function placeAtMirror(names: MirrorNames<UpstreamConfig>, projects: Projects): PlaceOf {
  return async (name, signal) => {
    const meaning = await names.resolve({ name, namespace: undefined }, signal);
    switch (meaning.kind) {
      case 'upstream':
      case 'refused': {
        const { isGuarded, project: first, private: kind } = meaning.upstream;
        if (isGuarded || kind === 'pass-through') {
          // Who may pull through a project is what its record says; without one nobody may.
          const project = await projects.find(first, signal);
          return { kind: 'project', project: project?.upstream && project, isFree: false };
        }
        return { kind: 'upstream', isShared: kind === 'shared' };
      }
      case 'unknown':
        return { kind: 'project', project: undefined, isFree: false };
      case 'local': {
        // Served only when it is proved public.
        if (meaning.isCache) {
          const cached = await projects.find(firstSegment(meaning.repository), signal);
          return cached?.upstream
            ? { kind: 'project', project: cached, isFree: false }
            : { kind: 'upstream', isShared: false };
        }
        const project = await projects.find(firstSegment(meaning.repository), signal);
        return { kind: 'project', project, isFree: false };
      }
    }
  };
}

/**
 * Whose a repository of the store is, as the catalog lists them: that of a project, also where its name means an upstream
 * on the path, or the copy of an upstream's.
 */
export function placeOfStoredAtMirror(
  names: MirrorNames<UpstreamConfig>,
  projects: Projects,
): PlaceOf {
  const projectOf = projectOfStored(projects);
  return async (name, signal) => {
    const project = await projectOf(name, signal);
    if (project) return { kind: 'project', project, isFree: false };
    const meaning = await names.resolve({ name, namespace: undefined }, signal);
    return meaning.kind === 'upstream' && meaning.cached === name
      ? { kind: 'upstream', isShared: meaning.upstream.private === 'shared' }
      : { kind: 'project', project: undefined, isFree: false };
  };
}
