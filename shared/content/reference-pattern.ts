import { type Digest, parseDigest } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/reference.ts';
import { DOCKER_HUB_PROJECT, findUpstream, type UpstreamEntry } from './upstream-entry.ts';

/**
 * Which content is meant: a digest, or `<repository>[:<tag>][@<digest>]` where `*` in repository and tag stands for any
 * characters. A pattern without tag and digest means everything in the repository.
 */
export interface ReferencePattern {
  /** As it was written, with the name under which the repository is stored. */
  readonly text: string;
  readonly name: RegExp | undefined;
  readonly tag: RegExp | undefined;
  readonly digest: Digest | undefined;
}

/** Content that a pattern may mean; what is not known is left out. */
export interface Referred {
  readonly repository: RepositoryName;
  readonly tag?: Tag | undefined;
  readonly digest?: Digest | undefined;
}

const NAME = /^[a-z0-9*][a-z0-9._/*-]*$/;
/** A name that is an algorithm is a digest that was mistyped. */
const ALGORITHM = /^sha(?:256|512)$/;
const TAG = /^[A-Za-z0-9_*][A-Za-z0-9._*-]*$/;

/**
 * The pattern, or undefined when it is none. Upstreams of the table may be named by project or host, as in a pull:
 * `docker.io/redis` is `mirror/library/redis`.
 */
export function parseReferencePattern(
  input: string,
  table: readonly UpstreamEntry[],
): ReferencePattern | undefined {
  const digestAlone = parseDigest(input);
  if (digestAlone) return { text: input, name: undefined, tag: undefined, digest: digestAlone };
  const parts = partsOf(input);
  if (!parts) return undefined;
  const { tag, digest } = parts;
  const name = storedName(parts.name, table);
  const text = `${name}${tag === undefined ? '' : `:${tag}`}${digest ? `@${digest}` : ''}`;
  return { text, name: glob(name), tag: tag === undefined ? undefined : glob(tag), digest };
}

interface Parts {
  readonly name: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

function partsOf(input: string): Parts | undefined {
  const [reference = '', digestText, ...more] = input.split('@');
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  if (more.length > 0 || (digestText !== undefined && !digest)) return undefined;
  const colon = reference.indexOf(':');
  const name = colon < 0 ? reference : reference.slice(0, colon);
  const tag = colon < 0 ? undefined : reference.slice(colon + 1);
  if (!NAME.test(name) || ALGORITHM.test(name)) return undefined;
  return tag === undefined || TAG.test(tag) ? { name, tag, digest } : undefined;
}

/** Whether the pattern means this, as far as it is known: a tag that is not given matches no pattern of tags. */
export function isMeant(pattern: ReferencePattern, { repository, tag, digest }: Referred): boolean {
  if (pattern.name && !pattern.name.test(repository)) return false;
  if (pattern.tag && (tag === undefined || !pattern.tag.test(tag))) return false;
  return pattern.digest === undefined || pattern.digest === digest;
}

function storedName(name: string, table: readonly UpstreamEntry[]): string {
  const [first = '', ...rest] = name.split('/');
  const upstream = findUpstream(table, first);
  if (!upstream || rest.length === 0) return name;
  const isOfficial =
    upstream.project === DOCKER_HUB_PROJECT && rest.length === 1 && rest[0] !== '*';
  return [upstream.project, ...(isOfficial ? ['library'] : []), ...rest].join('/');
}

function glob(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}
