import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { RangeRequest } from '../oci/range.ts';
import type { ManifestReference, RepositoryName, Tag } from '../oci/reference.ts';
import type { BlobBody, BlobStat } from '../storage/blob-store.ts';
import type { PullTrace } from './pull-trace.ts';

/** A repository as a client named it: the path, and the `ns` parameter where one was sent (spec.md, proxying). */
export interface RequestedRepository {
  readonly name: RepositoryName;
  readonly namespace: string | undefined;
  /** Told how the pull was served. */
  readonly trace?: PullTrace;
}

/** A manifest by its identity. `size` in bytes. */
export interface ManifestStat {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  /** Shown to the client in a `Warning` header, for example when the answer is stale. */
  readonly warning?: string;
}

/** How a client wants a blob. */
export interface BlobOptions {
  readonly range: RangeRequest | undefined;
  /** The client can be sent elsewhere for the bytes. */
  readonly mayRedirect: boolean;
}

/** The client fetches the blob from this address. */
export interface BlobRedirect {
  readonly url: string;
}

export interface ManifestContent extends ManifestStat {
  /** Exactly the bytes that were pushed. */
  readonly bytes: Buffer;
}

/** One page of a subject's referrers, as asked for (spec.md#listing-referrers). */
export interface ReferrerPageRequest {
  /** Those of one of these types alone; all when there is none. */
  readonly artifactTypes: readonly string[];
  /** Those of greater digests alone. */
  readonly after: Digest | undefined;
  /** How many at most; a page ends before that when its descriptors are as many bytes as clients take. */
  readonly size: number;
}

/** Sorted by digest, each once. */
export interface ReferrerPage {
  readonly descriptors: readonly Descriptor[];
  /** The `after` of the next page; undefined when this is the end. */
  readonly next: Digest | undefined;
  /** Shown to the client in a `Warning` header. */
  readonly warning?: string;
}

/**
 * What a pull needs, and nothing more. `Name` is a local RepositoryName below the roles, and what the client asked for
 * above them. Absence is undefined; a reason that the client should read is a RegistryError; faults are thrown.
 */
export interface ContentSource<Name = RequestedRepository> {
  manifestStat(
    repository: Name,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestStat | undefined>;
  manifest(
    repository: Name,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined>;
  blobStat(repository: Name, digest: Digest, signal: AbortSignal): Promise<BlobStat | undefined>;
  /** Throws RangeNotSatisfiableError. */
  blob(
    repository: Name,
    digest: Digest,
    options: BlobOptions,
    signal: AbortSignal,
  ): Promise<BlobBody | BlobRedirect | undefined>;
  /** Sorted by bytes; undefined when the repository is unknown. */
  tags(repository: Name, signal: AbortSignal): Promise<Tag[] | undefined>;
  /** Empty when there are none, also for an unknown repository. */
  referrers(
    repository: Name,
    subject: Digest,
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage>;
}
