import type { AuthConfig } from './auth-config.ts';
import type { UpstreamConfig } from './upstream-config.ts';
import type { WarmSchedule } from './warm-schedule.ts';

/** The parsed configuration: a value, made once by loadConfig and handed to constructors. Units are in the names. */
export interface FilesystemStorageConfig {
  readonly kind: 'filesystem';
  readonly dataDir: string;
}

export interface S3StorageConfig {
  readonly kind: 's3';
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly bucket: string;
  /** Root prefix of every key, without slashes at its ends; empty = none. */
  readonly prefix: string;
  readonly forcePathStyle: boolean;
  /** Undefined: the SDK's default credential chain. */
  readonly credentials:
    { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** Size of a multipart part to begin with; parts grow so that no blob needs more than 10,000. */
  readonly partBytes: number;
  /** Parts that one process sends at once, of all its uploads. */
  readonly partsInFlight: number;
  /** Copies above this many bytes use UploadPartCopy. */
  readonly multipartCopyBytes: number;
  /** How many blobs are read for clients at once. */
  readonly maxPulls: number;
  /** Clients are sent to the store for blobs; undefined: blobs are passed through. */
  readonly redirect: S3RedirectConfig | undefined;
}

interface S3RedirectConfig {
  /** Where clients reach the store; undefined: where this process does. */
  readonly endpoint: string | undefined;
  /** How long an address that a client was sent to is good for. */
  readonly lifeSeconds: number;
}

export type StorageConfig = FilesystemStorageConfig | S3StorageConfig;

interface HttpConfig {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  readonly metricsPort: number;
}

/** HTTP proxies on the way to upstreams, from the environment. */
export interface ProxyConfig {
  /** For http and for https addresses; the first also stands in for the second. */
  readonly http: string | undefined;
  readonly https: string | undefined;
  /** Hosts that are reached without one, in the form of NO_PROXY. */
  readonly exceptions: string | undefined;
}

type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface CommonConfig {
  readonly auth: AuthConfig;
  readonly http: HttpConfig;
  readonly storage: StorageConfig;
  readonly redisUrl: string | undefined;
  /** Replicas list the dirty journal at least this often. */
  readonly indexTrustSeconds: number;
  /** What one command of Redis may take. */
  readonly redisTimeoutMs: number;
  /** Half of it for manifests, half for small blobs. */
  readonly memoryCacheBytes: number;
  /** Where the push service is reached by clients, for messages and for names of our own; undefined = unknown. */
  readonly pushPublicUrl: string | undefined;
  /** Hosts (with port) that mean this registry in an `ns` parameter. */
  readonly publicHosts: readonly string[];
  /** The table of upstreams; never empty. */
  readonly upstreams: readonly UpstreamConfig[];
  /** The docker.io entry: what a name without a host means. */
  readonly defaultUpstream: UpstreamConfig;
  /** Processes that share the ports; `auto`: one for each core that the program may use. */
  readonly workers: number | 'auto';
  readonly logLevel: LogLevel;
  /** A file, or `stdout`; undefined: nobody keeps a record. */
  readonly auditLog: string | undefined;
  /** How long running requests may take to finish after the first signal to stop. */
  readonly shutdownGraceSeconds: number;
  /** A connection without progress for this long is closed. */
  readonly idleTimeoutSeconds: number;
  /** Tests only: where the process kills itself (shared/lifecycle/crash-point.ts). */
  readonly crashPoint: string | undefined;
  /** Tests only: divides the times of the removal protocol (shared/content/removal/removal-timing.ts). */
  readonly removalHaste: number;
}

export interface PushConfig extends CommonConfig {
  readonly role: 'push';
  readonly isDeleteEnabled: boolean;
  /** New projects may not have a dot in their name. */
  readonly isDottedReserved: boolean;
  readonly manifestReferences: 'require' | 'allow-missing';
  /** Upload sessions older than this are removed. */
  readonly uploadTtlSeconds: number;
}

/** How much is cached, and what of it stays. */
export interface CacheConfig {
  /** For all upstreams together; undefined: no budget. */
  readonly maxBytes: number | undefined;
  /** Eviction begins above this part of a budget, and goes on down to that. */
  readonly highPercent: number;
  readonly lowPercent: number;
  /** What was used more lately is not evicted. */
  readonly minAgeSeconds: number;
  /** Patterns of references that are not evicted. */
  readonly pins: readonly string[];
  readonly intervalSeconds: number;
}

export interface WarmConfig {
  /** References, one a line; read each time. */
  readonly file: string;
  readonly schedule: WarmSchedule;
  /** Of an index these; empty: all. */
  readonly platforms: readonly string[];
}

export interface MirrorConfig extends CommonConfig {
  readonly role: 'mirror';
  readonly proxies: ProxyConfig;
  readonly cache: CacheConfig;
  /** Glob patterns of local projects that are approved for the root path; empty: all are. */
  readonly localProjects: readonly string[];
  /** Undefined: a locked folder of this process under the system's temporary folder. */
  readonly spoolDir: string | undefined;
  readonly spoolMaxBytes: number;
  /** Images that are kept held. */
  readonly warm: WarmConfig | undefined;
  readonly internal: InternalConfig;
}

/** How the mirrors of one store reach each other. */
export interface InternalConfig {
  /** Of this process; undefined: no other machine reaches it. */
  readonly url: string | undefined;
  readonly host: string;
  readonly port: number;
  /** Undefined: the one that is kept in the store. */
  readonly secret: string | undefined;
}

export type Config = PushConfig | MirrorConfig;
