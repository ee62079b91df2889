import { parseDigest } from './digest.ts';
import {
  type ManifestReference,
  parseRepositoryName,
  parseTag,
  type RepositoryName,
} from './reference.ts';

/** An image as people write it behind `docker pull`. */
export interface PullReference {
  readonly name: RepositoryName;
  /** The registry, where it stands first and cannot be part of a name since it has a port. */
  readonly namespace: string | undefined;
  readonly reference: ManifestReference;
}

/**
 * `[host:port/]name[:tag][@digest]`; without either the tag is `latest`, with both the digest decides. A host without a
 * port is the beginning of the name, which says the same.
 */
export function parsePullReference(input: string): PullReference | undefined {
  const [, host, rest = ''] = /^(?:([A-Za-z0-9.-]+:\d{1,5})\/)?(.+)$/.exec(input) ?? [];
  const [, path = '', tagText, digestText] = /^([^:@]+)(?::([^@]*))?(?:@(.*))?$/.exec(rest) ?? [];
  const name = parseRepositoryName(path);
  const tag = parseTag(tagText ?? 'latest');
  if (!name || !tag) return undefined;
  const namespace = host?.toLowerCase();
  if (digestText === undefined) return { name, namespace, reference: { kind: 'tag', tag } };
  const digest = parseDigest(digestText);
  return digest && { name, namespace, reference: { kind: 'digest', digest } };
}
