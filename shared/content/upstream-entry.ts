import { firstSegment, parseRepositoryName, type RepositoryName } from '../oci/reference.ts';

/** What both roles must know of an upstream to tell its names from local ones. Never holds credentials. */
export interface UpstreamEntry {
  /** First segment under which its repositories are cached, `repositories/<project>/…`. */
  readonly project: string;
  readonly url: string;
  /** Its names in an `ns` parameter and as first segment. */
  readonly hosts: readonly string[];
}

/** The project of the docker.io entry: the default upstream, where a name of one segment means `library/<it>`. */
export const DOCKER_HUB_PROJECT = 'mirror';

const isNamedBy = (entry: UpstreamEntry, word: string): boolean =>
  entry.project === word || entry.hosts.includes(word);

/** The upstream that a first segment or an `ns` value names. */
export function findUpstream<Entry extends UpstreamEntry>(
  table: readonly Entry[],
  word: string,
): Entry | undefined {
  return table.find((entry) => isNamedBy(entry, word));
}

/** A repository of an upstream, and where its one cached copy lives. */
export interface UpstreamRepository {
  readonly upstreamRepository: RepositoryName;
  readonly cached: RepositoryName;
}

/**
 * The repository of the upstream that a path means: its own project or host as first segment is stripped, and at
 * Docker Hub a single segment is an official image. Undefined when nothing is left or the cached name would be too long.
 */
export function upstreamRepository(
  entry: UpstreamEntry,
  path: RepositoryName,
): UpstreamRepository | undefined {
  const first = firstSegment(path);
  const rest = isNamedBy(entry, first) ? path.slice(first.length + 1) : path;
  return rest === '' ? undefined : cachedRepository(entry, rest);
}

/** Where a repository that has this name at the upstream is cached; undefined when the name would be too long. */
export function cachedRepository(
  { project }: UpstreamEntry,
  path: string,
): UpstreamRepository | undefined {
  const full = project === DOCKER_HUB_PROJECT && !path.includes('/') ? `library/${path}` : path;
  const name = parseRepositoryName(full);
  const cached = parseRepositoryName(`${project}/${full}`);
  return name && cached && { upstreamRepository: name, cached };
}
