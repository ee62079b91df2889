import { readdir } from 'node:fs/promises';
import type { MirrorConfig, ProxyConfig, WarmConfig } from '../../../shared/config/config.ts';
import { OwnByteBudget } from '../../../shared/concurrency/byte-budget.ts';
import { testUpstream } from '../../../shared/config/testing/test-upstream.ts';
import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import { createTempStore, type TempStore } from '../../../shared/content/testing/temp-store.ts';
import { type HttpServer, startHttpServer } from '../../../shared/http/start-http-server.ts';
import { RecordedEdge } from '../../../shared/http/testing/recorded-edge.ts';
import {
  send,
  type TestAnswer,
  type TestRequest,
} from '../../../shared/http/testing/http-client.ts';
import { OPEN_ACCESS } from '../../../shared/auth/access.ts';
import { createStoreIndex } from '../../../shared/index/store/create-store-index.ts';
import type { Leases } from '../../../shared/index/ports.ts';
import { type Clock, systemClock } from '../../../shared/lifecycle/clock.ts';
import type { FillObservation, ProxyObservation } from '../../../shared/observability/observer.ts';
import type { BlobStore } from '../../../shared/storage/blob-store.ts';
import type { Platform, RoleApp } from '../../platform/platform.ts';
import { createMirrorApp } from '../create-mirror-app.ts';

/** The system's time at its start, moved forward at will: nothing grows old because a machine is slow. */
class TravellingClock implements Clock {
  readonly #startMs = systemClock.now().getTime();
  /** Whole, so that what is added can be told again to the millisecond. */
  #monotonicMs = Math.round(systemClock.monotonicMs());
  #aheadMs = 0;

  advance(ms: number): void {
    this.#aheadMs += ms;
    this.#monotonicMs += ms;
  }

  now(): Date {
    return new Date(this.#startMs + this.#aheadMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }
}

export interface TestMirrorOptions {
  readonly username?: string;
  readonly password?: string;
  /** Settings of the default upstream. */
  readonly upstream?: Partial<UpstreamConfig>;
  /** Those besides the default one. */
  readonly upstreams?: readonly UpstreamConfig[];
  readonly spoolMaxBytes?: number;
  readonly warm?: WarmConfig;
  readonly proxies?: ProxyConfig;
  /** Over an existing store, which then outlives the mirror. */
  readonly store?: TempStore;
  readonly blobs?: (blobs: BlobStore) => BlobStore;
  /** Who may do what; everybody everything without it. */
  readonly over?: Partial<Platform>;
  /** Shared by mirrors that are to join their downloads. */
  readonly programLeases?: Leases;
}

export interface TestMirror {
  readonly port: number;
  readonly store: TempStore;
  readonly clock: TravellingClock;
  readonly edge: RecordedEdge;
  readonly proxied: readonly ProxyObservation[];
  /** How each fill was joined. */
  readonly fills: readonly FillObservation[];
  readonly role: RoleApp;
  send(path: string, options?: TestRequest): Promise<TestAnswer>;
  /** Paths of all files of the store, sorted, but for what is written by the clock. */
  files(): Promise<string[]>;
  stop(): Promise<void>;
}

export const TAG_TTL_SECONDS = 60;

/** A mirror of one upstream over a folder, served on a free port. */
export async function startTestMirror(
  upstreamUrl: string,
  options: TestMirrorOptions = {},
): Promise<TestMirror> {
  const store = options.store ?? (await createTempStore());
  const clock = new TravellingClock();
  const edge = new RecordedEdge();
  const proxied: ProxyObservation[] = [];
  const fills: FillObservation[] = [];
  const shutdown = new AbortController();
  const platform: Platform = {
    records: store.records,
    blobs: options.blobs?.(store.blobs) ?? store.blobs,
    index: createStoreIndex(store.records, clock),
    access: OPEN_ACCESS,
    clock,
    log: edge.log,
    observer: {
      ...edge.observer,
      proxy: (observation) => void proxied.push(observation),
      fill: (observation) => void fills.push(observation),
    },
    shutdown: shutdown.signal,
    ...options.over,
  };
  const config = configFor(upstreamUrl, options);
  const role = createMirrorApp(platform, config, {
    spoolRoom: new OwnByteBudget(config.spoolMaxBytes),
    programLeases: options.programLeases,
  });
  await role.start();
  const http: HttpServer = await startHttpServer({
    app: role.app,
    host: '127.0.0.1',
    port: 0,
    idleTimeoutSeconds: 30,
    log: edge.log,
  });
  return {
    port: http.port,
    store,
    clock,
    edge,
    proxied,
    fills,
    role,
    send: (path, request) => send(http.port, path, request),
    files: async () => {
      const entries = await readdir(store.folder, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => `${entry.parentPath.slice(store.folder.length + 1)}/${entry.name}`)
        .filter((path) => !path.startsWith('twinport/') && !path.endsWith('/_twinport/used'))
        .sort();
    },
    stop: async () => {
      await http.close(0);
      shutdown.abort();
      await role.close();
      if (!options.store) await store.remove();
    },
  };
}

function configFor(url: string, options: TestMirrorOptions): MirrorConfig {
  const { username, password } = options;
  const upstream = testUpstream({
    url,
    credentials:
      username === undefined || password === undefined
        ? []
        : [{ kind: 'password', username, password }],
    tagTtlSeconds: TAG_TTL_SECONDS,
    // What tests did not ask for does not come in between.
    completeBytes: 0,
    ...options.upstream,
  });
  return {
    role: 'mirror',
    cache: {
      maxBytes: undefined,
      highPercent: 95,
      lowPercent: 85,
      minAgeSeconds: 0,
      pins: [],
      intervalSeconds: 600,
    },
    http: { host: '127.0.0.1', port: 0, tls: undefined, metricsPort: 0 },
    storage: { kind: 'filesystem', dataDir: 'unused' },
    auth: { mode: 'none' },
    redisUrl: undefined,
    indexTrustSeconds: 5,
    redisTimeoutMs: 50,
    memoryCacheBytes: 1_000_000,
    pushPublicUrl: 'http://push.example:5000',
    publicHosts: ['push.example:5000'],
    upstreams: [upstream, ...(options.upstreams ?? [])],
    defaultUpstream: upstream,
    workers: 1,
    logLevel: 'info',
    auditLog: undefined,
    crashPoint: undefined,
    removalHaste: 1,
    shutdownGraceSeconds: 1,
    idleTimeoutSeconds: 30,
    proxies: options.proxies ?? { http: undefined, https: undefined, exceptions: undefined },
    localProjects: [],
    spoolDir: undefined,
    warm: options.warm,
    spoolMaxBytes: options.spoolMaxBytes ?? 1024 * 1024 * 1024,
    internal: { url: undefined, host: '127.0.0.1', port: 0, secret: undefined },
  };
}
