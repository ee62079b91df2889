import type { OriginIndex } from '../index/ports.ts';
import { firstSegment, type RepositoryName } from '../oci/reference.ts';
import type { RequestedRepository } from './content-source.ts';
import { globPattern } from './glob-pattern.ts';
import { isServableCache, meaningAtPush, withoutLocalPrefix } from './local-name.ts';
import type { Projects } from './projects.ts';
import { LOCAL_PREFIX, OFFICIAL_PREFIX } from './reserved-names.ts';
import { findUpstream, type UpstreamEntry, upstreamRepository } from './upstream-entry.ts';

export type MirrorMeaning<Entry extends UpstreamEntry> =
  | {
      readonly kind: 'local';
      readonly repository: RepositoryName;
      /** It is the copy of an upstream's repository, asked for as what this store has of it. */
      readonly isCache: boolean;
    }
  | {
      readonly kind: 'upstream';
      readonly upstream: Entry;
      readonly upstreamRepository: RepositoryName;
      readonly cached: RepositoryName;
    }
  /** A repository of an upstream that this mirror does not serve by its configuration. */
  | {
      readonly kind: 'refused';
      readonly upstream: Entry;
      readonly upstreamRepository: RepositoryName;
    }
  /** An `ns` that is in no list, or a path that leaves no repository name. */
  | { readonly kind: 'unknown' };

export interface MirrorNamesOptions<Entry extends UpstreamEntry> {
  readonly upstreams: readonly Entry[];
  readonly defaultUpstream: Entry;
  readonly projects: Projects;
  readonly origins: OriginIndex;
  /** Hosts that mean this registry. */
  readonly publicHosts: readonly string[];
  /** False for repositories of an upstream that are not served, cached or not. */
  readonly permits: (upstream: UpstreamEntry, upstreamRepository: RepositoryName) => boolean;
  /** Globs of the local projects that the root path serves; empty: all. */
  readonly rootProjects: readonly string[];
}

const UNKNOWN = { kind: 'unknown' } as const;

/**
 * What a name means at the mirror, decided by its first segment and `ns` alone and never by whether a repository or a
 * tag exists: (1) `ns`, (2) an upstream's project or host, (3) `local/` or an approved local project, (4) the default
 * upstream.
 */
export class MirrorNames<Entry extends UpstreamEntry> {
  readonly #options: MirrorNamesOptions<Entry>;
  readonly #rootProjects: readonly RegExp[];

  constructor(options: MirrorNamesOptions<Entry>) {
    this.#options = options;
    this.#rootProjects = options.rootProjects.map(globPattern);
  }

  async resolve(
    requested: RequestedRepository,
    signal: AbortSignal,
  ): Promise<MirrorMeaning<Entry>> {
    const { name, namespace } = requested;
    const { upstreams, publicHosts, defaultUpstream } = this.#options;
    if (namespace !== undefined) {
      const host = namespace.toLowerCase();
      if (publicHosts.includes(host)) return this.#local(name, signal);
      const upstream = findUpstream(upstreams, host);
      return upstream ? this.#atUpstream(upstream, name) : UNKNOWN;
    }
    const first = firstSegment(name);
    const named = findUpstream(upstreams, first);
    if (named) return this.#atUpstream(named, name);
    if (first === LOCAL_PREFIX) {
      const local = withoutLocalPrefix(name);
      return local ? this.#local(local, signal) : UNKNOWN;
    }
    if (await this.#isRootProject(first, signal)) return this.#local(name, signal);
    return this.#atUpstream(defaultUpstream, name);
  }

  /** Content of this store alone; what is cached in it only as the push service would serve it. */
  async #local(name: RepositoryName, signal: AbortSignal): Promise<MirrorMeaning<Entry>> {
    const { upstreams, projects, origins, permits } = this.#options;
    const meaning = await meaningAtPush(name, upstreams, projects, signal);
    if (!meaning) return UNKNOWN;
    if (meaning.kind === 'cached') {
      const { repository, upstream, upstreamRepository: its } = meaning;
      const isServed = permits(upstream, its);
      if (!isServed || !(await isServableCache(repository, upstream, origins, signal))) {
        return UNKNOWN;
      }
    }
    return {
      kind: 'local',
      repository: meaning.repository,
      isCache: meaning.kind === 'cached',
    };
  }

  #atUpstream(upstream: Entry, path: RepositoryName): MirrorMeaning<Entry> {
    const found = upstreamRepository(upstream, path);
    if (!found) return UNKNOWN;
    return this.#options.permits(upstream, found.upstreamRepository)
      ? { kind: 'upstream', upstream, ...found }
      : { kind: 'refused', upstream, upstreamRepository: found.upstreamRepository };
  }

  async #isRootProject(project: string, signal: AbortSignal): Promise<boolean> {
    if (project === OFFICIAL_PREFIX) return false;
    const found = await this.#options.projects.find(project, signal);
    if (!found) return false;
    if (found.rootPath !== undefined) return found.rootPath;
    const patterns = this.#rootProjects;
    // Whoever may make projects by pushing must not take a name of Docker Hub over.
    if (patterns.length === 0) return found.createdBy === undefined;
    return patterns.some((pattern) => pattern.test(project));
  }
}
