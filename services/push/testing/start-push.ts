import { OPEN_ACCESS, type AccessPolicy } from '../../../shared/auth/access.ts';
import type { PushConfig } from '../../../shared/config/config.ts';
import { testUpstream } from '../../../shared/config/testing/test-upstream.ts';
import { createTempStore, type TempStore } from '../../../shared/content/testing/temp-store.ts';
import type { Identities } from '../../../shared/http/admission.ts';
import type { AuditLog } from '../../../shared/observability/audit-log.ts';
import { startHttpServer } from '../../../shared/http/start-http-server.ts';
import {
  send,
  type TestAnswer,
  type TestRequest,
} from '../../../shared/http/testing/http-client.ts';
import { RecordedEdge } from '../../../shared/http/testing/recorded-edge.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import type { BlobStore } from '../../../shared/storage/blob-store.ts';
import { StoreUsageLedger } from '../../../shared/management/quotas/store-usage-ledger.ts';
import { FilesystemExclusiveRecords } from '../../../shared/storage/filesystem/filesystem-exclusive-records.ts';
import { FilesystemUploadStore } from '../../../shared/storage/filesystem/filesystem-upload-store.ts';
import type { TokenParts } from '../../identities/token-parts.ts';
import type { Platform } from '../../platform/platform.ts';
import { createPushApp } from '../create-push-app.ts';

export interface TestPush {
  readonly port: number;
  readonly store: TempStore;
  readonly uploads: FilesystemUploadStore;
  readonly edge: RecordedEdge;
  send(path: string, options?: TestRequest): Promise<TestAnswer>;
  close(): Promise<void>;
}

export interface TestPushOptions {
  readonly config?: Partial<PushConfig>;
  readonly access?: AccessPolicy;
  readonly identities?: Identities | undefined;
  readonly audit?: AuditLog | undefined;
  readonly tokens?: TokenParts | undefined;
  readonly externalTokens?: Platform['externalTokens'];
  readonly projectRights?: Platform['projectRights'];
  /** Who may do what by the records of the store, in place of what is said above. */
  readonly over?: (store: TempStore) => Partial<Platform> | Promise<Partial<Platform>>;
  /** Stands before the real blob store, to misbehave. */
  readonly wrapBlobs?: (blobs: BlobStore) => BlobStore;
}

/** A push service over a temporary folder, on a free port of the loopback. */
export async function startPush(options: TestPushOptions = {}): Promise<TestPush> {
  const store = await createTempStore();
  const edge = new RecordedEdge();
  const uploads = new FilesystemUploadStore(store.folder, systemClock);
  const shutdown = new AbortController();
  const { log, observer } = edge;
  const role = createPushApp(
    {
      records: store.records,
      blobs: options.wrapBlobs?.(store.blobs) ?? store.blobs,
      index: store.index,
      ledgers: {
        storeLedger: new StoreUsageLedger({
          records: store.records,
          exclusive: new FilesystemExclusiveRecords(store.folder),
          leases: store.index.leases,
          clock: systemClock,
        }),
      },
      access: options.access ?? OPEN_ACCESS,
      identities: options.identities,
      audit: options.audit,
      tokens: options.tokens,
      externalTokens: options.externalTokens,
      projectRights: options.projectRights,
      clock: systemClock,
      log,
      observer,
      shutdown: shutdown.signal,
      ...(await options.over?.(store)),
    },
    uploads,
    { ...PUSH_CONFIG, ...options.config },
  );
  await role.start();
  const server = await startHttpServer({
    app: role.app,
    host: '127.0.0.1',
    port: 0,
    idleTimeoutSeconds: 30,
    log,
  });
  return {
    port: server.port,
    store,
    uploads,
    edge,
    send: (path, request) => send(server.port, path, request),
    close: async () => {
      await server.close(0);
      shutdown.abort();
      await role.close();
      await store.remove();
    },
  };
}

export const PUSH_CONFIG: PushConfig = {
  role: 'push',
  http: { host: '127.0.0.1', port: 0, tls: undefined, metricsPort: 0 },
  storage: { kind: 'filesystem', dataDir: '' },
  auth: { mode: 'none' },
  redisUrl: undefined,
  indexTrustSeconds: 5,
  redisTimeoutMs: 50,
  memoryCacheBytes: 1_000_000,
  pushPublicUrl: undefined,
  publicHosts: ['localhost:5000'],
  upstreams: [testUpstream()],
  defaultUpstream: testUpstream(),
  workers: 1,
  logLevel: 'info',
  auditLog: undefined,
  shutdownGraceSeconds: 1,
  idleTimeoutSeconds: 30,
  crashPoint: undefined,
  removalHaste: 1,
  isDeleteEnabled: true,
  isDottedReserved: true,
  manifestReferences: 'require',
  uploadTtlSeconds: 3600,
};
