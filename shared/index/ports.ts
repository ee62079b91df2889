/**
 * What the registry knows beside bytes. Every port answers from the store (StoreIndex) or from Redis over the store
 * (RedisIndex) with the same answers; absence is `undefined` or `false`, faults are StorageError. Mutations resolve
 * when they are durable in the store, and any replica reads them from then on.
 */
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/reference.ts';

export interface TagIndex {
  get(repository: RepositoryName, tag: Tag, signal: AbortSignal): Promise<Digest | undefined>;
  /** Writes the history link, then the current link. */
  set(repository: RepositoryName, tag: Tag, digest: Digest, signal: AbortSignal): Promise<void>;
  /** Removes the current link first, then the rest. False when there was no such tag. */
  delete(repository: RepositoryName, tag: Tag, signal: AbortSignal): Promise<boolean>;
  /** All tags that have a current link, sorted by bytes; ghosts (folders without one) are left out. */
  list(repository: RepositoryName, signal: AbortSignal): Promise<Tag[]>;
}

/** `blob`: `_layers/…/link`; `manifest`: `_manifests/revisions/…/link`. */
export type MemberKind = 'blob' | 'manifest';

/** Which blobs and manifests belong to which repository. The only ground on which bytes are readable (I6). */
export interface MembershipIndex {
  has(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean>;
  add(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<void>;
  /** False when it did not belong. */
  remove(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean>;
}

export interface ReferrerIndex {
  /**
   * Descriptors of the manifests whose `subject` is the digest, sorted by digest; with `after`, those of greater
   * digests alone. They come in batches that are read as they are asked for: all of them may be more than memory holds.
   */
  list(
    repository: RepositoryName,
    subject: Digest,
    after: Digest | undefined,
    signal: AbortSignal,
  ): AsyncIterable<readonly Descriptor[]>;
  add(
    repository: RepositoryName,
    subject: Digest,
    referrer: Descriptor,
    signal: AbortSignal,
  ): Promise<void>;
  remove(
    repository: RepositoryName,
    subject: Digest,
    referrer: Digest,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface Catalog {
  /** Every repository that has a manifest or a blob, sorted by bytes. */
  repositories(signal: AbortSignal): Promise<RepositoryName[]>;
  /** True when the repository has or had content here (any record below its folder). */
  has(repository: RepositoryName, signal: AbortSignal): Promise<boolean>;
}

/** A local project: the first segment of the names that were pushed here. Never removed by deleting content. */
export interface ProjectRecord {
  readonly schemaVersion: 1;
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** True for a project found in a store that another registry wrote. */
  readonly adopted?: boolean;
  /** How often people changed the record; absent: never. */
  readonly revision?: number;
  /** Random; another one when a project of the same name is made again. Projects without one go by `createdAt`. */
  readonly id?: string;
  /** The id of whoever made it. */
  readonly createdBy?: string;
  /** Whether everybody may pull; absent: public. */
  readonly visibility?: 'public' | 'private';
  readonly members?: readonly ProjectMember[];
  readonly groups?: readonly ProjectGroup[];
  /** What its blobs may take, each counted once; absent: no limit. */
  readonly quotaBytes?: number;
  /** Globs of tags that are not moved or deleted once they exist. */
  readonly immutableTags?: readonly string[];
  /** The project is a cache of this registry and hosts nothing of its own. */
  readonly upstream?: ProjectUpstream;
  /** Whether the mirror's root path serves it; absent: as the mirror's configuration says. */
  readonly rootPath?: boolean;
  /** True while it is being deleted or renamed: nothing is pushed to it. */
  readonly closed?: boolean;
  /** The name that it is getting; the repositories are being moved there. */
  readonly renamedTo?: string;
  /** The name that it has had; absent when the rename is done. */
  readonly renamedFrom?: string;
}

/** Guests pull, developers push, maintainers delete and make robots, admins do everything to the project. */
export const PROJECT_ROLES = ['guest', 'developer', 'maintainer', 'admin'] as const;
export type ProjectRole = (typeof PROJECT_ROLES)[number];

interface ProjectMember {
  /** Of an identity. */
  readonly id: string;
  readonly role: ProjectRole;
}

interface ProjectGroup {
  /** `<source>:<group>`. */
  readonly group: string;
  readonly role: ProjectRole;
}

interface ProjectUpstream {
  readonly url: string;
  /** The configuration of a mirror made the project: it says who may pull, and nothing else. */
  readonly isConfigured?: true;
  /** What the account that a mirror has for this address may read is passed on to whoever may pull; absent: it is not. */
  readonly passThrough?: true;
  readonly hosts?: readonly string[];
}

/** What a token was issued for stays valid for this project alone. */
export const projectIdOf = ({ id, createdAt }: ProjectRecord): string => id ?? createdAt;

export interface ProjectIndex {
  get(name: string, signal: AbortSignal): Promise<ProjectRecord | undefined>;
  /** Idempotent: a record that exists is left as it is. */
  create(record: ProjectRecord, signal: AbortSignal): Promise<void>;
  /** Replaces the record; whoever may meet other writers does so through VersionedRecords. */
  put(record: ProjectRecord, signal: AbortSignal): Promise<void>;
  /** Idempotent. */
  remove(name: string, signal: AbortSignal): Promise<void>;
  list(signal: AbortSignal): Promise<ProjectRecord[]>;
}

/** Marks a repository as cache of an upstream repository, and keeps the last public-or-private verdict on it. */
export interface OriginMarker {
  readonly schemaVersion: 1;
  readonly upstreamUrl: string;
  readonly upstreamRepository: string;
  /** `shared`: the upstream's account may read it, and every reader of the mirror may what it may. */
  readonly verdict: 'public' | 'shared' | 'private' | 'unknown';
  /** When the verdict was last proved, RFC 3339; absent = never. */
  readonly provedAt?: string;
}

export interface OriginIndex {
  get(repository: RepositoryName, signal: AbortSignal): Promise<OriginMarker | undefined>;
  put(repository: RepositoryName, marker: OriginMarker, signal: AbortSignal): Promise<void>;
}

/** The media type of a manifest whose bytes do not tell it. */
export interface ManifestTypeIndex {
  get(repository: RepositoryName, digest: Digest, signal: AbortSignal): Promise<string | undefined>;
  put(
    repository: RepositoryName,
    digest: Digest,
    mediaType: string,
    signal: AbortSignal,
  ): Promise<void>;
}

/** Among whom a lease was granted: within this process, all processes of this program, or all over the store. */
export type LeaseReach = 'process' | 'program' | 'store';

/** A held lease: others that ask for the same name wait or go without until it is released or lapses. */
export interface Lease {
  readonly reach: LeaseReach;
  /** Aborts when the lease was lost: not renewed in time, or given to another that took the holder for dead. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

export interface LeaseTerms {
  /** What `holder` tells the others while the lease is held; no two claims may be alike. */
  readonly claim: string;
  /** The claim of a holder that is known to be gone: the lease is taken from it. */
  readonly insteadOf?: string | undefined;
}

/**
 * Mutual exclusion by name among the processes that share the index (one process where there is none). A lease is an
 * optimisation: everything it protects is correct, only dearer or refused, when two hold it at once.
 */
export interface Leases {
  /** Waits at most `waitMs` for the lease; undefined when another still holds it then. */
  acquire(
    name: string,
    waitMs: number,
    signal: AbortSignal,
    terms?: LeaseTerms,
  ): Promise<Lease | undefined>;
  /** The claim of who holds the name now; undefined when nobody does. */
  holder(name: string): Promise<string | undefined>;
}

/** A small value with a life, shared by the processes where that is possible, else per process: hints, never truth. */
export interface SharedHints {
  get(name: string): Promise<string | undefined>;
  put(name: string, value: string, ttlMs: number): Promise<void>;
}

/** All of it, as the composition root hands it out. */
export interface RegistryIndex {
  readonly tags: TagIndex;
  readonly members: MembershipIndex;
  readonly referrers: ReferrerIndex;
  readonly catalog: Catalog;
  readonly projects: ProjectIndex;
  readonly origins: OriginIndex;
  readonly manifestTypes: ManifestTypeIndex;
  readonly leases: Leases;
  readonly hints: SharedHints;
}
