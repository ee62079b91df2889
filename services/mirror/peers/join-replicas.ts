import type { MirrorConfig } from '../../../shared/config/config.ts';
import type { Leases } from '../../../shared/index/ports.ts';
import type { Platform } from '../../platform/platform.ts';
import type { FillRegistry } from '../fill/fill-registry.ts';
import type { Joins } from '../fill/joint-source.ts';
import { OfferedFills } from '../fill/offered-fills.ts';
import { FillClient } from './fill-client.ts';
import { type FillServer, startFillServer } from './fill-server.ts';
import { configuredSecret, StoredSecret } from './peer-secret.ts';

export interface JoinReplicasOptions {
  readonly fills: FillRegistry;
  /** Among the processes of this program; undefined where it is one process. */
  readonly programLeases: Leases | undefined;
  readonly lifetime: AbortSignal;
}

/** This process's part in downloads that are joined across processes. */
export interface ReplicaJoins {
  /** Undefined where there is nobody to join with. */
  readonly joins: Joins | undefined;
  /** Rejects with what a person should read when the port cannot be had. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Joins fills with the other replicas where INTERNAL_URL says how they reach this one, else with the other workers of
 * this program over loopback.
 */
export function joinReplicas(
  platform: Platform,
  { internal }: MirrorConfig,
  { fills, programLeases, lifetime }: JoinReplicasOptions,
): ReplicaJoins {
  const { records, index, clock, log } = platform;
  const leases = internal.url === undefined ? programLeases : index.leases;
  if (!leases) {
    const nothing = (): Promise<void> => Promise.resolve();
    return { joins: undefined, start: nothing, close: nothing };
  }
  const secret =
    internal.secret === undefined
      ? new StoredSecret(records, clock, lifetime)
      : configuredSecret(internal.secret);
  const listening =
    internal.url === undefined ? { host: '127.0.0.1', port: 0, url: undefined } : internal;
  let server: FillServer | undefined;
  return {
    joins: { leases, peers: new FillClient(secret, clock), ownUrl: () => server?.url },
    start: async () => {
      const offered = new OfferedFills(fills, clock);
      try {
        server = await startFillServer({ ...listening, fills: offered, secret, clock, log });
      } catch (error) {
        throw new Error(
          `INTERNAL_PORT ${listening.port} on ${listening.host} cannot be used: ${(error as Error).message}`,
          { cause: error },
        );
      }
      // Read now, so that the first download does not wait for it; it is read again where that failed.
      secret.current().catch(() => undefined);
    },
    close: async () => {
      await server?.close();
    },
  };
}
