import type { Digest } from '../../../shared/oci/digest.ts';
import { firstSegment, type RepositoryName } from '../../../shared/oci/reference.ts';
import type { CachedUnit, Holdings } from './cache-survey.ts';

/**
 * The account of what the cache holds: each blob once in all, and once for each upstream that links it. What a pushed
 * repository links too costs the cache nothing. Evicting is noted here and done elsewhere.
 */
export class CacheLedger {
  readonly #holdings: Holdings;
  /** Links that keep a digest: in how many repositories, and in how many of each project. */
  readonly #linked = new Map<Digest, number>();
  readonly #linkedByProject = new Map<string, Map<Digest, number>>();
  /** How many units of a repository still need its link to a digest. */
  readonly #needs = new Map<RepositoryName, Map<Digest, number>>();
  readonly #bytesByProject = new Map<string, number>();
  #bytes = 0;

  constructor(holdings: Holdings, units: readonly CachedUnit[]) {
    this.#holdings = holdings;
    for (const [repository, links] of holdings.links) {
      for (const digest of new Set(links.map((link) => link.digest))) {
        this.#add(repository, digest);
      }
    }
    for (const { repository, needs } of units) {
      const counts = this.#needs.get(repository) ?? new Map<Digest, number>();
      this.#needs.set(repository, counts);
      for (const digest of needs) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
  }

  /** What is held for one upstream, by its project, or in all. */
  bytes(project?: string): number {
    return project === undefined ? this.#bytes : (this.#bytesByProject.get(project) ?? 0);
  }

  get projects(): string[] {
    return [...this.#bytesByProject.keys()];
  }

  /** Takes the unit out. Returns the digests that its repository needs no more. */
  evict({ repository, needs }: CachedUnit): Digest[] {
    const counts = this.#needs.get(repository);
    const unneeded: Digest[] = [];
    for (const digest of needs) {
      const left = (counts?.get(digest) ?? 1) - 1;
      counts?.set(digest, left);
      if (left > 0) continue;
      unneeded.push(digest);
      this.#remove(repository, digest);
    }
    return unneeded;
  }

  #add(repository: RepositoryName, digest: Digest): void {
    const project = firstSegment(repository);
    const inProject = this.#linkedByProject.get(project) ?? new Map<Digest, number>();
    this.#linkedByProject.set(project, inProject);
    const before = this.#linked.get(digest) ?? 0;
    const beforeInProject = inProject.get(digest) ?? 0;
    this.#linked.set(digest, before + 1);
    inProject.set(digest, beforeInProject + 1);
    if (before === 0) this.#bytes += this.#costOf(digest);
    const cost = beforeInProject === 0 ? this.#costOf(digest) : 0;
    this.#bytesByProject.set(project, this.bytes(project) + cost);
  }

  #remove(repository: RepositoryName, digest: Digest): void {
    const project = firstSegment(repository);
    const inProject = this.#linkedByProject.get(project);
    const left = (this.#linked.get(digest) ?? 1) - 1;
    const leftInProject = (inProject?.get(digest) ?? 1) - 1;
    this.#linked.set(digest, left);
    inProject?.set(digest, leftInProject);
    if (left === 0) this.#bytes -= this.#costOf(digest);
    if (leftInProject === 0) {
      this.#bytesByProject.set(project, this.bytes(project) - this.#costOf(digest));
    }
  }

  #costOf(digest: Digest): number {
    return this.#holdings.pushed.has(digest) ? 0 : (this.#holdings.sizes.get(digest) ?? 0);
  }
}
