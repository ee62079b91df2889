import { type ReservedNameRules, whyReserved } from '../content/reserved-names.ts';
import type { UpstreamEntry } from '../content/upstream-entry.ts';
import { registryError } from '../oci/errors.ts';
import { parseRepositoryName } from '../oci/reference.ts';

/** A project's record is a file of its name; file systems take 255 bytes, endings included. */
const MAX_NAME_LENGTH = 240;

export const isProjectName = (name: string): boolean =>
  !name.includes('/') && parseRepositoryName(name) !== undefined;

/** Throws NAME_INVALID, and DENIED for a name that means something else. */
export function requireNewName(
  name: string,
  upstreams: readonly UpstreamEntry[],
  rules: ReservedNameRules,
): void {
  if (!isProjectName(name) || name.length > MAX_NAME_LENGTH) {
    throw registryError('NAME_INVALID', {
      message: `${name} is no name of a project: the first part of a repository name, at most ${MAX_NAME_LENGTH} characters`,
    });
  }
  const reason = whyReserved(name, upstreams, rules);
  if (reason !== undefined) throw registryError('DENIED', { message: reason });
}
