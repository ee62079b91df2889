import { type Digest, parseDigest } from './digest.ts';

/** A repository name as the distribution spec writes it (spec.md#pulling-manifests), at most 255 characters. */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' };
/** A tag of at most 128 characters (same section). */
export type Tag = string & { readonly __brand: 'Tag' };
/** The identifier of an upload session: a random UUID in lower case. */
export type UploadId = string & { readonly __brand: 'UploadId' };

/** What stands after `/manifests/`. */
export type ManifestReference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest };

const MAX_NAME_LENGTH = 255;
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The length is checked before the pattern, so that no input costs more than linear time in 255 characters. */
export function parseRepositoryName(input: string): RepositoryName | undefined {
  return input.length <= MAX_NAME_LENGTH && NAME.test(input)
    ? (input as RepositoryName)
    : undefined;
}

export function parseTag(input: string): Tag | undefined {
  return input.length <= 128 && TAG.test(input) ? (input as Tag) : undefined;
}

export function parseUploadId(input: string): UploadId | undefined {
  return input.length === 36 && UUID.test(input) ? (input as UploadId) : undefined;
}

/** A reference with a colon is a digest, any other a tag (distribution-spec, spec.md#pulling-manifests). */
export function parseManifestReference(input: string): ManifestReference | undefined {
  if (input.includes(':')) {
    const digest = parseDigest(input);
    return digest && { kind: 'digest', digest };
  }
  const tag = parseTag(input);
  return tag && { kind: 'tag', tag };
}

/** The part of a name before its first slash: the project it belongs to. */
export function firstSegment(name: RepositoryName): string {
  const slash = name.indexOf('/');
  return slash < 0 ? name : name.slice(0, slash);
}
