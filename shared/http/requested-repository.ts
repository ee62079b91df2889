import type { RequestedRepository } from '../content/content-source.ts';
import { PullTrace } from '../content/pull-trace.ts';
import { registryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/reference.ts';
import { type HeaderFields, HEADERS } from './headers.ts';

/** A host with an optional port and path: a key in a closed list, never an address to dial, and safe in a header. */
const NAMESPACE = /^[A-Za-z0-9.:_[\]/-]{1,255}$/;

/**
 * The repository that a pull names: its path and `ns` (distribution-spec, spec.md#registry-proxying), and the header
 * that tells the client its `ns` was heeded. Throws NAME_INVALID for an `ns` that cannot be a registry.
 */
export function requestedRepository(request: { name: RepositoryName; query: URLSearchParams }): {
  repository: RequestedRepository;
  trace: PullTrace;
  echo: HeaderFields;
} {
  const trace = new PullTrace();
  const namespace = request.query.get('ns');
  if (namespace === null || namespace === '') {
    return { repository: { name: request.name, namespace: undefined, trace }, trace, echo: {} };
  }
  if (!NAMESPACE.test(namespace)) {
    throw registryError('NAME_INVALID', { message: 'the ns parameter does not name a registry' });
  }
  return {
    repository: { name: request.name, namespace, trace },
    trace,
    echo: { [HEADERS.namespace]: namespace },
  };
}
