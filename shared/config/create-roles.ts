import { createAuth } from './auth-config.ts';
import { clientHost } from './client-host.ts';
import type { CommonConfig, Config, MirrorConfig, PushConfig, StorageConfig } from './config.ts';
import type { Upstreams } from './create-upstreams.ts';
import type { Values } from './variables.ts';

/** `serve`: one role. `embedded`: both in one process, as `npm start` does while RUN_AS_MIRROR is not set. */
export type Mode = 'serve' | 'embedded';

const PUSH_PORT = 5000;
const MIRROR_PORT = 5001;
const PUSH_METRICS_PORT = 9090;
const MIRROR_METRICS_PORT = 9091;

/** The configuration of every role that is to run: one, or push and then mirror. */
export function createRoles(
  values: Values,
  upstreams: Upstreams,
  mode: Mode,
): readonly [Config, ...Config[]] {
  if (mode === 'embedded') {
    const ports = {
      push: values.PUSH_PORT ?? values.HTTP_PORT ?? PUSH_PORT,
      mirror: values.MIRROR_PORT,
    };
    const metrics = values.METRICS_PORT ?? PUSH_METRICS_PORT;
    const host = values.HTTP_HOST ?? '127.0.0.1';
    const common = {
      ...createCommon(values, upstreams, host),
      pushPublicUrl: values.PUSH_PUBLIC_URL ?? localUrl(values, host, ports.push),
      publicHosts: unique([
        ...createPublicHosts(values),
        ...[ports.push, ports.mirror]
          .filter((port) => port !== 0)
          .flatMap((port) => [`localhost:${port}`, `127.0.0.1:${port}`]),
      ]),
    };
    return [
      createPush(values, common, { port: ports.push, metricsPort: metrics }),
      createMirror(values, common, {
        port: ports.mirror,
        metricsPort: metrics === 0 ? 0 : metrics + 1,
      }),
    ];
  }
  const common = createCommon(values, upstreams, values.HTTP_HOST ?? '0.0.0.0');
  return values.RUN_AS_MIRROR === true
    ? [
        createMirror(values, common, {
          port: values.HTTP_PORT ?? MIRROR_PORT,
          metricsPort: values.METRICS_PORT ?? MIRROR_METRICS_PORT,
        }),
      ]
    : [
        createPush(values, common, {
          port: values.HTTP_PORT ?? PUSH_PORT,
          metricsPort: values.METRICS_PORT ?? PUSH_METRICS_PORT,
        }),
      ];
}

interface Ports {
  readonly port: number;
  readonly metricsPort: number;
}

function createCommon(values: Values, upstreams: Upstreams, host: string): CommonConfig {
  const { HTTP_TLS_CERTIFICATE: certificateFile, HTTP_TLS_KEY: keyFile } = values;
  return {
    http: {
      host,
      port: 0,
      tls:
        certificateFile === undefined || keyFile === undefined
          ? undefined
          : { certificateFile, keyFile },
      metricsPort: 0,
    },
    auth: createAuth(values),
    storage: createStorage(values),
    redisUrl: values.REDIS_URL,
    indexTrustSeconds: values.INDEX_TRUST_SECONDS,
    redisTimeoutMs: values.REDIS_TIMEOUT_MS,
    memoryCacheBytes: values.MEMORY_CACHE_BYTES,
    pushPublicUrl: values.PUSH_PUBLIC_URL,
    publicHosts: createPublicHosts(values),
    upstreams: upstreams.all,
    defaultUpstream: upstreams.standard,
    workers: values.WORKERS,
    logLevel: values.LOG_LEVEL,
    auditLog: values.AUDIT_LOG,
    shutdownGraceSeconds: values.SHUTDOWN_GRACE_SECONDS,
    idleTimeoutSeconds: values.HTTP_IDLE_TIMEOUT_SECONDS,
    crashPoint: values.TWINPORT_CRASH_POINT,
    removalHaste: values.TWINPORT_REMOVAL_HASTE,
  };
}

function createPush(values: Values, common: CommonConfig, ports: Ports): PushConfig {
  return {
    ...common,
    role: 'push',
    http: { ...common.http, ...ports },
    isDeleteEnabled: values.DELETE_ENABLED,
    isDottedReserved: values.RESERVE_DOTTED,
    manifestReferences: values.MANIFEST_REFERENCES,
    uploadTtlSeconds: values.UPLOAD_TTL_SECONDS,
  };
}

function createMirror(values: Values, common: CommonConfig, ports: Ports): MirrorConfig {
  return {
    ...common,
    role: 'mirror',
    cache: {
      maxBytes: values.CACHE_MAX_BYTES,
      highPercent: values.CACHE_HIGH_WATER_PERCENT,
      lowPercent: values.CACHE_LOW_WATER_PERCENT,
      minAgeSeconds: values.CACHE_MIN_AGE_SECONDS,
      pins: values.CACHE_PINS ?? [],
      intervalSeconds: values.CACHE_EVICTION_INTERVAL_SECONDS,
    },
    http: { ...common.http, ...ports },
    proxies: {
      http: values.HTTP_PROXY,
      https: values.HTTPS_PROXY,
      exceptions: values.NO_PROXY,
    },
    localProjects: values.MIRROR_LOCAL_PROJECTS ?? [],
    spoolDir: values.SPOOL_DIR,
    spoolMaxBytes: values.SPOOL_MAX_BYTES,
    warm:
      values.WARM_FILE === undefined
        ? undefined
        : {
            file: values.WARM_FILE,
            schedule: values.WARM_SCHEDULE,
            platforms: values.WARM_PLATFORMS ?? [],
          },
    internal: {
      url: values.INTERNAL_URL,
      host: values.INTERNAL_HOST,
      port: values.INTERNAL_PORT,
      secret: values.INTERNAL_SECRET,
    },
  };
}

/** The kind of store that the values ask for. */
export const storageKind = (values: Values): 'filesystem' | 's3' =>
  values.STORAGE ?? (values.S3_BUCKET === undefined ? 'filesystem' : 's3');

function createStorage(values: Values): StorageConfig {
  if (storageKind(values) === 'filesystem') return { kind: 'filesystem', dataDir: values.DATA_DIR };
  const { S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = values;
  return {
    kind: 's3',
    endpoint: values.S3_ENDPOINT,
    region: values.S3_REGION,
    bucket: values.S3_BUCKET ?? '',
    prefix: values.S3_PREFIX,
    forcePathStyle: values.S3_FORCE_PATH_STYLE ?? values.S3_ENDPOINT !== undefined,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined
        ? undefined
        : { accessKeyId, secretAccessKey },
    partBytes: values.S3_PART_BYTES,
    partsInFlight: values.S3_PARTS_IN_FLIGHT,
    multipartCopyBytes: values.S3_MULTIPART_COPY_BYTES,
    maxPulls: values.S3_MAX_PULLS,
    redirect: values.S3_REDIRECT_PULLS
      ? { endpoint: values.S3_PUBLIC_ENDPOINT, lifeSeconds: values.S3_REDIRECT_SECONDS }
      : undefined,
  };
}

/** The hosts that mean this registry, wherever it runs. */
const createPublicHosts = (values: Values): string[] =>
  unique([
    ...(values.PUBLIC_HOSTS ?? []).map((host) => host.toLowerCase()),
    ...(values.PUSH_PUBLIC_URL === undefined ? [] : [new URL(values.PUSH_PUBLIC_URL).host]),
  ]);

/** Where a client on this machine finds a port of this process. */
function localUrl(values: Values, host: string, port: number): string | undefined {
  if (port === 0) return undefined;
  const scheme = values.HTTP_TLS_KEY === undefined ? 'http' : 'https';
  return `${scheme}://${clientHost(host)}:${port}`;
}

const unique = (values: readonly string[]): string[] => [...new Set(values)];
