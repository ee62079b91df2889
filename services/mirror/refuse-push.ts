import { type RegistryError, registryError } from '../../shared/oci/errors.ts';
import type { V2Operation, V2Request } from '../../shared/oci/v2-path.ts';

const READS: ReadonlySet<V2Operation | 'unknown'> = new Set<V2Operation>([
  'base',
  'catalogList',
  'tagList',
  'manifestGet',
  'manifestHead',
  'blobGet',
  'blobHead',
  'referrerList',
]);

/** Refuses whatever is no read, and says where to push. For the hook that comes before rights and bodies. */
export function createRefusePush(
  pushPublicUrl: string | undefined,
): (request: V2Request) => RegistryError | undefined {
  const message = `this is a pull-through mirror and takes no pushes${
    pushPublicUrl === undefined ? '' : `: push to ${pushPublicUrl} instead`
  }`;
  return (request) =>
    READS.has(request.operation)
      ? undefined
      : registryError('UNSUPPORTED', { message, headers: { Allow: 'GET, HEAD' } });
}
