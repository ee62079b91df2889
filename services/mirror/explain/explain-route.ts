import type { ApiRoute } from '../../../shared/http/api-route.ts';
import { registryError } from '../../../shared/oci/errors.ts';
import { parsePullReference } from '../../../shared/oci/pull-reference.ts';
import { explain, type ExplainOptions } from './explain.ts';

/** `GET /api/v1/explain?ref=…[&ns=…]`: to whoever may pull the reference. */
export function createExplainRoute(options: ExplainOptions): ApiRoute {
  return {
    operation: 'explain',
    answer: async ({ query, allows, signal }) => {
      const parsed = parsePullReference(query.get('ref') ?? '');
      if (!parsed) {
        const message = 'ref is no image reference; write ?ref=name:tag or ?ref=name@digest';
        throw registryError('NAME_INVALID', { message });
      }
      const { name } = parsed;
      const access = { type: 'repository', name, action: 'pull' } as const;
      if (!(await allows(access))) throw registryError('DENIED', { detail: access });
      const namespace = query.get('ns') ?? parsed.namespace;
      return explain({ ...parsed, namespace }, options, signal);
    },
  };
}
