import {
  createManagementApi,
  type ManagementApiDependencies,
} from '../../shared/api/management-api.ts';
import type { EndpointApi } from '../../shared/http/endpoint-api.ts';
import { listManifests } from '../../shared/content/list-manifests.ts';
import type { Health } from '../../shared/observability/health.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import type { Platform } from '../platform/platform.ts';
import { VERSION } from '../version.ts';

/** What the push service alone knows. */
interface PushParts extends Pick<
  ManagementApiDependencies,
  'content' | 'remove' | 'repositoryOf' | 'policy' | 'onProjectChange' | 'usedBytes'
> {
  readonly index: Pick<RegistryIndex, 'catalog' | 'tags' | 'members'>;
  readonly health: Health;
}

/** The management API of the push service; undefined where nothing is managed. */
export function managementApi(
  { management, records, audit, clock }: Platform,
  { health, ...push }: PushParts,
): EndpointApi | undefined {
  if (!management) return undefined;
  return createManagementApi({
    ...push,
    ...{ audit, clock, parts: management, role: 'push', version: VERSION },
    readiness: () => health.readiness(),
    manifestsAfter: (repository, page, signal) =>
      listManifests({ records, members: push.index.members }, repository, page, signal),
  });
}
