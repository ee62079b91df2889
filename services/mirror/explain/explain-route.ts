import type { ApiRoute } from '../../../shared/http/api-route.ts';
import { registryError } from '../../../shared/oci/errors.ts';
import { parsePullReference } from '../../../shared/oci/pull-reference.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import { explain, type ExplainOptions } from './explain.ts';

export interface ExplainRouteOptions extends ExplainOptions {
  /** The name that rights are asked for. */
  readonly accessNameOf: (repository: {
    readonly name: RepositoryName;
    readonly namespace: string | undefined;
  }) => string;
}

/** `GET /api/v1/explain?ref=…[&ns=…]`: to whoever may pull the reference. */
export function createExplainRoute({ accessNameOf, ...options }: ExplainRouteOptions): ApiRoute {
  return {
    operation: 'explain',
    answer: async ({ query, demand, signal }) => {
      const parsed = parsePullReference(query.get('ref') ?? '');
      if (!parsed) {
        const message = 'ref is no image reference; write ?ref=name:tag or ?ref=name@digest';
        throw registryError('NAME_INVALID', { message });
      }
      const { name } = parsed;
      const namespace = query.get('ns') ?? parsed.namespace;
      await demand([
        { type: 'repository', name: accessNameOf({ name, namespace }), action: 'pull' },
      ]);
      return explain({ ...parsed, namespace }, options, signal);
    },
  };
}
