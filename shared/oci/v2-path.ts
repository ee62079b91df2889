import { type Digest, parseDigest } from './digest.ts';
import { type RegistryError, registryError } from './errors.ts';
import {
  type ManifestReference,
  parseManifestReference,
  parseRepositoryName,
  parseUploadId,
  type RepositoryName,
  type UploadId,
} from './reference.ts';

/** What a path of the distribution API names (spec.md#endpoints), the methods aside. */
export type V2Resource =
  'base' | 'catalog' | 'tags' | 'manifest' | 'blob' | 'uploads' | 'upload' | 'referrers';

const OPERATIONS = {
  base: { GET: 'base', HEAD: 'base' },
  catalog: { GET: 'catalogList', HEAD: 'catalogList' },
  tags: { GET: 'tagList', HEAD: 'tagList' },
  manifest: {
    GET: 'manifestGet',
    HEAD: 'manifestHead',
    PUT: 'manifestPut',
    DELETE: 'manifestDelete',
  },
  blob: { GET: 'blobGet', HEAD: 'blobHead', DELETE: 'blobDelete' },
  uploads: { POST: 'uploadStart' },
  upload: {
    GET: 'uploadStatus',
    HEAD: 'uploadStatus',
    PATCH: 'uploadAppend',
    PUT: 'uploadCommit',
    DELETE: 'uploadCancel',
  },
  referrers: { GET: 'referrerList', HEAD: 'referrerList' },
} as const satisfies Record<V2Resource, Record<string, string>>;

type OperationOf<Resource extends V2Resource> =
  (typeof OPERATIONS)[Resource][keyof (typeof OPERATIONS)[Resource]];

/** Every operation of the API; a method that a resource does not have is `unknown`. */
export type V2Operation = { [Resource in V2Resource]: OperationOf<Resource> }[V2Resource];

interface Fields {
  base: object;
  catalog: object;
  tags: { readonly name: RepositoryName };
  manifest: { readonly name: RepositoryName; readonly reference: ManifestReference };
  blob: { readonly name: RepositoryName; readonly digest: Digest };
  uploads: { readonly name: RepositoryName };
  upload: { readonly name: RepositoryName; readonly id: UploadId };
  referrers: { readonly name: RepositoryName; readonly digest: Digest };
}

interface Common {
  /** The path as it was sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** A request of the distribution API, parsed once; nothing behind it looks at the URL again. */
export type V2Request = {
  [Resource in V2Resource]: {
    readonly resource: Resource;
    readonly operation: OperationOf<Resource> | 'unknown';
  } & Fields[Resource] &
    Common;
}[V2Resource];

/** The request of one operation. */
export type V2RequestOf<Operation extends V2Operation> = {
  [Resource in V2Resource]: Operation extends OperationOf<Resource>
    ? { readonly resource: Resource; readonly operation: Operation } & Fields[Resource] & Common
    : never;
}[V2Resource];

type Target = { [Resource in V2Resource]: { resource: Resource } & Fields[Resource] }[V2Resource];

/** Shared by all requests without a query; nobody changes a query. */
const NO_QUERY = new URLSearchParams();

const invalidPath = (message: string): RegistryError => registryError('NAME_INVALID', { message });

const noSuchEndpoint = (): RegistryError =>
  registryError('NAME_UNKNOWN', { message: 'no such endpoint' });

/**
 * Parses a request target from its raw, undecoded bytes, from the right: names may contain any of the API's words.
 * Nothing is unescaped or folded: `%`, `\`, empty and dot segments are refused, so that what was checked here is what
 * the store is asked for. Throws NAME_INVALID, DIGEST_INVALID, TAG_INVALID (400), or 404 in the code of the resource.
 */
export function parseV2Request(method: string, rawUrl: string): V2Request {
  const queryAt = rawUrl.indexOf('?');
  const path = queryAt < 0 ? rawUrl : rawUrl.slice(0, queryAt);
  const query = queryAt < 0 ? NO_QUERY : new URLSearchParams(rawUrl.slice(queryAt + 1));
  const target = parsePath(method, path);
  const operations: Record<string, string> = OPERATIONS[target.resource];
  const operation = Object.hasOwn(operations, method) ? operations[method] : 'unknown';
  return { ...target, operation, path, query } as V2Request;
}

/** The methods of a resource among the operations that a role has, for an `Allow` header. */
export function allowedMethods(
  resource: V2Resource,
  hasOperation: (operation: V2Operation) => boolean,
): string[] {
  return Object.entries(OPERATIONS[resource] as Record<string, V2Operation>)
    .filter(([, operation]) => hasOperation(operation))
    .map(([method]) => method);
}

function parsePath(method: string, path: string): Target {
  if (!path.startsWith('/')) throw invalidPath('the request target must be a path');
  if (path.includes('%')) throw invalidPath('percent-encoded characters are not allowed in paths');
  if (!/^[\x21-\x7e]+$/.test(path) || path.includes('\\') || path.includes('#')) {
    throw invalidPath('the path contains a character that is not allowed');
  }
  if (path === '/v2' || path === '/v2/') return { resource: 'base' };
  if (!path.startsWith('/v2/')) throw noSuchEndpoint();

  const isUploads = path.endsWith('/blobs/uploads/');
  const segments = (isUploads ? path.slice(4, -1) : path.slice(4)).split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    throw invalidPath('empty and dot segments are not allowed in paths');
  }
  if (isUploads) return { resource: 'uploads', name: requireName(segments.slice(0, -2)) };
  return parseSegments(method, segments);
}

function parseSegments(method: string, segments: string[]): Target {
  const last = segments.at(-1) ?? '';
  const name = segments.slice(0, -2);
  switch (segments.at(-2)) {
    case undefined:
      if (last === '_catalog') return { resource: 'catalog' };
      throw noSuchEndpoint();
    case 'manifests':
      return {
        resource: 'manifest',
        name: requireName(name),
        reference: requireReference(method, last),
      };
    case 'blobs':
      return { resource: 'blob', name: requireName(name), digest: requireDigest(last) };
    case 'referrers':
      return { resource: 'referrers', name: requireName(name), digest: requireDigest(last) };
    case 'tags':
      if (last !== 'list') throw noSuchEndpoint();
      return { resource: 'tags', name: requireName(name) };
    case 'uploads':
      if (segments.at(-3) !== 'blobs') throw noSuchEndpoint();
      return {
        resource: 'upload',
        name: requireName(segments.slice(0, -3)),
        id: requireUploadId(last),
      };
    default:
      throw noSuchEndpoint();
  }
}

function requireName(segments: string[]): RepositoryName {
  const input = segments.join('/');
  const name = parseRepositoryName(input);
  if (!name) throw registryError('NAME_INVALID', { detail: { name: input.slice(0, 255) } });
  return name;
}

function requireDigest(input: string): Digest {
  const digest = parseDigest(input);
  if (!digest) {
    throw registryError('DIGEST_INVALID', {
      message: 'not a sha256 or sha512 digest',
      detail: { digest: input.slice(0, 160) },
    });
  }
  return digest;
}

/** A tag that cannot exist is simply unknown, unless somebody wants to make it. */
function requireReference(method: string, input: string): ManifestReference {
  if (input.includes(':')) return { kind: 'digest', digest: requireDigest(input) };
  const reference = parseManifestReference(input);
  if (reference) return reference;
  const detail = { tag: input.slice(0, 128) };
  throw registryError(method === 'PUT' ? 'TAG_INVALID' : 'MANIFEST_UNKNOWN', { detail });
}

function requireUploadId(input: string): UploadId {
  const id = parseUploadId(input);
  if (!id) throw registryError('BLOB_UPLOAD_UNKNOWN');
  return id;
}
