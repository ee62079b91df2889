/**
 * Every key in Redis, named once.
 *
 *   twinport:1:{<store id>}:epoch          hash identity, nonce, born: see redis-scripts.ts
 *   twinport:1:{<store id>}:entry:<name>   hash g, v, d:<token>: one cached answer
 *   twinport:1:{<store id>}:lease:<name>   token of the holder
 *   twinport:1:{<store id>}:hint:<name>    value of the hint
 *   twinport:1:{<store id>}:usage:<name>:<id>   hash identity, total, <digest>: what a project with a quota takes
 *
 * The number is the version of this schema. Processes of two versions over one store do not see each other's marks:
 * whoever raises it makes writers mark the keys of both. The store id keeps stores apart that share a Redis; the
 * braces keep the keys of one store on one node of a cluster.
 */
import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName, Tag } from '../../oci/reference.ts';
import type { MemberKind } from '../ports.ts';

/** Names one cached answer: in Redis behind the prefix of its store, in journal entries alone. */
export type CacheKey = string & { readonly __brand: 'CacheKey' };

// No part but the last can hold a colon, so no two answers share a name.
export const tagCacheKey = (repository: RepositoryName, tag: Tag): CacheKey =>
  `tag:${repository}:${tag}` as CacheKey;
export const tagListCacheKey = (repository: RepositoryName): CacheKey =>
  `tags:${repository}` as CacheKey;
export const memberCacheKey = (
  repository: RepositoryName,
  kind: MemberKind,
  digest: Digest,
): CacheKey => `${kind}:${repository}:${digest}` as CacheKey;
export const referrersCacheKey = (repository: RepositoryName, subject: Digest): CacheKey =>
  `referrers:${repository}:${subject}` as CacheKey;
export const projectCacheKey = (name: string): CacheKey => `project:${name}` as CacheKey;
export const originCacheKey = (repository: RepositoryName): CacheKey =>
  `origin:${repository}` as CacheKey;
export const manifestTypeCacheKey = (repository: RepositoryName, digest: Digest): CacheKey =>
  `type:${repository}:${digest}` as CacheKey;

const prefix = (storeId: string): string => `twinport:1:{${storeId}}`;

/** Never holds anything. */
export const probeKey = 'twinport:1:probe';
export const epochKey = (storeId: string): string => `${prefix(storeId)}:epoch`;
export const entryKey = (storeId: string, key: CacheKey): string =>
  `${prefix(storeId)}:entry:${key}`;
export const leaseKey = (storeId: string, name: string): string =>
  `${prefix(storeId)}:lease:${name}`;
export const hintKey = (storeId: string, name: string): string => `${prefix(storeId)}:hint:${name}`;
export const usageKey = (storeId: string, project: string, id: string): string =>
  `${prefix(storeId)}:usage:${project}:${id}`;
