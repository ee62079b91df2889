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

/** How a pull at the mirror was served; `kind` as in distribution's registry_proxy_* counters. */
export interface ProxyObservation {
  readonly kind: 'blob' | 'manifest';
  readonly outcome: 'hit' | 'miss' | 'join' | 'stale';
  readonly bytesPulled?: number;
  readonly bytesPushed?: number;
}

export interface Observer {
  request(observation: RequestObservation): void;
  /** One operation of the store, for example `record.put`, `blob.open`. */
  store(operation: string, seconds: number, isFault: boolean): void;
  /** Content that the store should have and does not. */
  damage(kind: 'blob-missing' | 'manifest-missing' | 'manifest-damaged'): void;
  redis(operation: string, seconds: number, isFault: boolean): void;
  proxy(observation: ProxyObservation): void;
  /** Bytes that came from or went to an upstream or a client through a fill. */
  upstreamRequest(method: 'GET' | 'HEAD', statusClass: string, seconds: number): void;
}

/** Structured logging, by the edge only; domain code throws or returns. Fields never hold a secret. */
export interface Log {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
  debug(fields: Record<string, unknown>, message: string): void;
}
