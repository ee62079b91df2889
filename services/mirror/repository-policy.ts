import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import { globPattern } from '../../shared/content/glob-pattern.ts';

interface Rules {
  readonly allow: readonly RegExp[];
  readonly deny: readonly RegExp[];
}

/** Which repositories of each upstream this mirror serves at all, by `allow` and `deny`. */
export class RepositoryPolicy {
  readonly #rules = new Map<string, Rules>();

  constructor(upstreams: readonly UpstreamConfig[]) {
    for (const { project, allow, deny } of upstreams) {
      this.#rules.set(project, { allow: allow.map(globPattern), deny: deny.map(globPattern) });
    }
  }

  /** True when no pattern denies it, and one allows it where there are any. */
  permits({ project }: Pick<UpstreamConfig, 'project'>, upstreamRepository: string): boolean {
    const { allow = [], deny = [] } = this.#rules.get(project) ?? {};
    const matches = (patterns: readonly RegExp[]): boolean =>
      patterns.some((pattern) => pattern.test(upstreamRepository));
    return !matches(deny) && (allow.length === 0 || matches(allow));
  }
}
