/** What the domain tells the outside of what happened: closed sets only, never a repository or a digest as label. */

export type Operation =
  | 'base'
  | 'catalogList'
  | 'tagList'
  | 'manifestGet'
  | 'manifestHead'
  | 'manifestPut'
  | 'manifestDelete'
  | 'blobGet'
  | 'blobHead'
  | 'blobDelete'
  | 'uploadStart'
  | 'uploadStatus'
  | 'uploadAppend'
  | 'uploadCommit'
  | 'uploadCancel'
  | 'referrerList'
  | 'explain'
  | 'token'
  | 'jwks'
  | 'api'
  | 'unknown';

export type Role = 'push' | 'mirror';

/** One finished request. */
export interface RequestObservation {
  readonly operation: Operation;
  readonly status: number;
  readonly seconds: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly isClientGone: boolean;
}

export type ProxyOutcome = 'hit' | 'miss' | 'join' | 'stale' | 'bypass' | 'background';

/**
 * How a pull at the mirror was served; `kind` as in distribution's registry_proxy_* counters. `background`: no client
 * asked, an image was completed or warmed.
 */
export interface ProxyObservation {
  /** Project of the upstream. */
  readonly upstream: string;
  readonly kind: 'blob' | 'manifest';
  readonly outcome: ProxyOutcome;
  readonly bytesPulled?: number;
  readonly bytesPushed?: number;
}

/** How a download began, or went on after it broke off. */
export interface FillObservation {
  /** `led`: others may follow it. `followed`: it follows one of another process. `none`: by itself. */
  readonly joined: 'led' | 'followed' | 'none';
  /** Why it is by itself. */
  readonly reason:
    | ''
    | 'no-internal-url'
    | 'no-redis'
    | 'leader-unreachable'
    | 'leader-refused'
    | 'behind'
    | 'not-trusted';
}

/** What came of completing an image that was pulled. */
export type CompletionOutcome = 'completed' | 'too-large' | 'not-kept' | 'failed' | 'dropped';

/** What a mirror shows as gauges, each by upstream. */
export type MirrorLevel =
  'fills' | 'completionsWaiting' | 'breakerOpen' | 'cacheBytes' | 'cacheBudgetBytes';

/** What a credential may still pull from an upstream; `limit` and `remaining` where the upstream tells them. */
export interface QuotaObservation {
  /** The upstream's project. */
  readonly upstream: string;
  /** Names the credential, and says nothing of it. */
  readonly credential: string;
  readonly limit: number | undefined;
  readonly remaining: number | undefined;
  /** Unix time in milliseconds before which the upstream wants no more pulls; 0 for never. */
  readonly limitedUntilMs: number;
}

/** What becomes of cached images that are too many. */
type EvictionObservation =
  | { readonly kind: 'evicted'; readonly images: number; readonly bytes: number }
  | { readonly kind: 'began' }
  | { readonly kind: 'ended'; readonly at: Date; readonly isFault: boolean };

/** What a mirror alone tells. `upstream` is a project of a configured upstream. */
export interface MirrorObserver {
  proxy(observation: ProxyObservation): void;
  fill(observation: FillObservation): void;
  upstreamRequest(method: 'GET' | 'HEAD', statusClass: string, seconds: number): void;
  completion(upstream: string, outcome: CompletionOutcome): void;
  quota(observation: QuotaObservation): void;
  eviction(observation: EvictionObservation): void;
  level(
    level: MirrorLevel,
    upstream: string,
    change: { readonly set: number } | { readonly add: number },
  ): void;
}

export interface Observer extends MirrorObserver {
  request(observation: RequestObservation): void;
  /** One operation of the store, for example `record.put`, `blob.open`. */
  store(operation: string, seconds: number, isFault: boolean): void;
  /** Content that the store should have and does not. */
  damage(kind: 'blob-missing' | 'blob-damaged' | 'manifest-missing' | 'manifest-damaged'): void;
  redis(operation: string, seconds: number, isFault: boolean): void;
}

const ignore = (): void => undefined;

/** Tells nobody anything: to be spread where only some of it matters. */
export const UNOBSERVED: Observer = {
  request: ignore,
  store: ignore,
  damage: ignore,
  redis: ignore,
  proxy: ignore,
  fill: ignore,
  upstreamRequest: ignore,
  completion: ignore,
  quota: ignore,
  eviction: ignore,
  level: ignore,
};

/** Structured logging, by the edge only; domain code throws or returns. Fields never hold a secret. */
export interface Log {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
  debug(fields: Record<string, unknown>, message: string): void;
}
