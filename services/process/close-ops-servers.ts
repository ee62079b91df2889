import type { ShutdownPhase } from '../../shared/lifecycle/shutdown.ts';
import type { OpsServer } from '../../shared/observability/ops-server.ts';

const CLOSE_MS = 5000;

/** The last phase: health and metrics are there to the end. */
export const closing = (servers: readonly OpsServer[]): ShutdownPhase => ({
  name: 'health and metrics',
  capMs: CLOSE_MS,
  run: async () => {
    await Promise.all(servers.map((server) => server.close()));
  },
});
