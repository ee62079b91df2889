import { registryError } from '../oci/errors.ts';
import { firstSegment, type RepositoryName } from '../oci/reference.ts';
import type { Projects } from './projects.ts';
import { type ReservedNameRules, whyReserved } from './reserved-names.ts';
import type { UpstreamTable } from './upstream-table.ts';

/** A project's record is a file of its name; file systems take 255 bytes, endings included. */
const MAX_PROJECT_LENGTH = 240;

/** Which names may be pushed to. */
export class PushNames {
  readonly #projects: Projects;
  readonly #upstreams: UpstreamTable;
  readonly #rules: ReservedNameRules;

  constructor(projects: Projects, upstreams: UpstreamTable, rules: ReservedNameRules) {
    this.#projects = projects;
    this.#upstreams = upstreams;
    this.#rules = rules;
  }

  /**
   * Makes sure that the name belongs to a local project, making the project if the name is free. Called before the
   * first link of a repository is written. Throws DENIED with the reason for a reserved name; a reserved name that
   * another registry's store already holds stays usable.
   */
  async requirePushable(name: RepositoryName, signal: AbortSignal): Promise<void> {
    const project = firstSegment(name);
    if (project.length > MAX_PROJECT_LENGTH) {
      throw registryError('NAME_INVALID', {
        message: `the first part of a name may have ${MAX_PROJECT_LENGTH} characters at most`,
        detail: { name },
      });
    }
    if (await this.#projects.find(project, signal)) return;
    const reason = whyReserved(project, await this.#upstreams.entries(signal), this.#rules);
    if (reason) throw registryError('DENIED', { message: reason, detail: { name } });
    await this.#projects.ensure(project, signal);
  }
}
