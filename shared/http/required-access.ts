import type { Access } from '../auth/access.ts';
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

/** `pulledName`: what is pulled goes by this name, where it is not the one of the path. All else does what the path says. */
export function requiredAccess(
  request: V2Request,
  operation: V2Operation,
  pulledName?: string,
): readonly Access[] {
  const right = RIGHTS[operation];
  if (right === 'none') return [];
  if (right === 'list') return [{ type: 'registry', name: 'catalog', action: 'list' }];
  if (!('name' in request)) throw new Error(`${request.operation} names no repository`);
  const name = right === 'pull' ? (pulledName ?? request.name) : request.name;
  return [{ type: 'repository', name, action: right }];
}
