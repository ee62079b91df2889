import type { Access } from '../auth/access.ts';
import type { RepositoryName } from '../oci/reference.ts';
import type { V2Operation, V2Request } from '../oci/v2-path.ts';

type Right = 'none' | 'list' | 'pull' | 'push' | 'delete';

/**
 * The right that each operation needs. Cancelling an upload is part of pushing: clients that got an upload instead of
 * the mount they asked for drop it, with nothing but push rights. What a mount reads, its handler checks.
 */
const RIGHTS: Record<V2Operation, Right> = {
  base: 'none',
  catalogList: 'list',
  tagList: 'pull',
  manifestGet: 'pull',
  manifestHead: 'pull',
  manifestPut: 'push',
  manifestDelete: 'delete',
  blobGet: 'pull',
  blobHead: 'pull',
  blobDelete: 'delete',
  uploadStart: 'push',
  uploadStatus: 'push',
  uploadAppend: 'push',
  uploadCommit: 'push',
  uploadCancel: 'push',
  referrerList: 'pull',
};

export function requiredAccess(request: V2Request, operation: V2Operation): readonly Access[] {
  const right = RIGHTS[operation];
  if (right === 'none') return [];
  if (right === 'list') return [{ type: 'registry', name: 'catalog', action: 'list' }];
  return [{ type: 'repository', name: requireNameOf(request), action: right }];
}

function requireNameOf(request: V2Request): RepositoryName {
  if ('name' in request) return request.name;
  throw new Error(`${request.operation} names no repository`);
}
