import { createRoleApi } from '../../shared/api/management-api.ts';
import { askStore } from '../../shared/content/store-probe.ts';
import type { EndpointApi } from '../../shared/http/endpoint-api.ts';
import { Health } from '../../shared/observability/health.ts';
import type { Platform } from '../platform/platform.ts';
import { VERSION } from '../version.ts';

/** `/api/v1` of the mirror beside `explain`. What is managed is managed at the push service over the same store. */
export interface MirrorApi {
  /** Undefined where who may do what is another server's affair. */
  readonly api: EndpointApi | undefined;
  /** Start-up is complete. */
  readonly started: () => void;
}

export function mirrorApi(
  { identities, externalTokens, records, audit, clock }: Platform,
  degraded: () => readonly string[],
): MirrorApi {
  const health = new Health({
    clock,
    probeStore: (signal) => askStore(records, signal),
    degraded: () => Promise.resolve(degraded()),
  });
  const system = { role: 'mirror', version: VERSION, readiness: () => health.readiness() } as const;
  const hasIdentities = identities !== undefined;
  return {
    api: externalTokens ? undefined : createRoleApi({ ...system, hasIdentities, audit, clock }),
    started: () => health.started(),
  };
}
