import type { Principal } from '../../shared/auth/access.ts';
import type { ProjectMaker } from '../../shared/content/projects.ts';
import type { PushNames } from '../../shared/content/push-names.ts';
import type { V2Handlers } from '../../shared/http/v2-exchange.ts';

type Making = Pick<V2Handlers, 'uploadStart' | 'manifestPut'>;

/**
 * The same handlers; where rights follow from projects, one that is made by a push belongs to who pushed, and is as
 * visible as new ones are.
 */
export function ownProjects<Handlers extends Required<Making>>(
  handlers: Handlers,
  names: PushNames,
  rights: Pick<ProjectMaker, 'visibility'> | undefined,
): Handlers {
  if (!rights) return handlers;
  const { visibility } = rights;
  const { uploadStart, manifestPut } = handlers;
  return {
    ...handlers,
    uploadStart: async (exchange) => {
      const { request, principal, signal } = exchange;
      await names.requirePushable(request.name, signal, { visibility, ...ownerOf(principal) });
      await uploadStart(exchange);
    },
    manifestPut: async (exchange) => {
      const { request, principal, signal } = exchange;
      await names.requirePushable(request.name, signal, { visibility, ...ownerOf(principal) });
      await manifestPut(exchange);
    },
  };
}

function ownerOf(principal: Principal): Pick<ProjectMaker, 'id' | 'rootPath'> {
  if (principal.kind === 'anonymous' || principal.identity === undefined) return {};
  const { id, isAdmin } = principal.identity;
  return { id, ...(isAdmin && { rootPath: true }) };
}
