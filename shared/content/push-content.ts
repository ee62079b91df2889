import type { RegistryIndex } from '../index/ports.ts';
import type { Digest } from '../oci/digest.ts';
import { registryError } from '../oci/errors.ts';
import type { ManifestReference, RepositoryName, Tag } from '../oci/reference.ts';
import type { BlobBody, BlobStat } from '../storage/blob-store.ts';
import type {
  BlobOptions,
  BlobRedirect,
  ContentSource,
  ManifestContent,
  ManifestStat,
  ReferrerPage,
  ReferrerPageRequest,
  RequestedRepository,
} from './content-source.ts';
import type { HeldContent } from './held-content.ts';
import type { LocalContent } from './local-content.ts';
import { isServableCache, type LocalMeaning, meaningAtPush } from './local-name.ts';
import type { Projects } from './projects.ts';
import type { LinkRefresh } from './removal/link-refresh.ts';
import { findUpstream, upstreamRepository } from './upstream-entry.ts';
import type { UpstreamTable } from './upstream-table.ts';

export interface PushContentOptions {
  readonly local: LocalContent;
  readonly held: HeldContent;
  readonly index: Pick<RegistryIndex, 'origins'>;
  readonly links: Pick<LinkRefresh, 'refresh'>;
  readonly projects: Projects;
  readonly upstreams: UpstreamTable;
  /** Hosts that mean this registry in an `ns` parameter. */
  readonly publicHosts: readonly string[];
}

/**
 * What the push service serves: pushed repositories, and read-only what a mirror over the same store holds. A cached
 * manifest is served only with everything it needs, so that no pull begins that cannot end; else 404 names the mirror.
 */
export class PushContent implements ContentSource {
  readonly #options: PushContentOptions;

  constructor(options: PushContentOptions) {
    this.#options = options;
  }

  /** The repository of the store that the request means; undefined when it means none. */
  async repositoryOf(
    requested: RequestedRepository,
    signal: AbortSignal,
  ): Promise<RepositoryName | undefined> {
    return (await this.#meaning(requested, signal))?.repository;
  }

  async manifestStat(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestStat | undefined> {
    return this.manifest(requested, reference, signal);
  }

  async manifest(
    requested: RequestedRepository,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<ManifestContent | undefined> {
    const meaning = await this.#meaning(requested, signal);
    if (!meaning) return undefined;
    const manifest = await this.#options.local.manifest(meaning.repository, reference, signal);
    if (meaning.kind === 'pushed') return manifest;
    if (manifest && (await this.#options.held.isHeld(meaning.repository, manifest, signal)))
      return manifest;
    throw notHeld(requested.name);
  }

  async blobStat(
    requested: RequestedRepository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat | undefined> {
    const meaning = await this.#meaning(requested, signal);
    const stat =
      meaning && (await this.#options.local.blobStat(meaning.repository, digest, signal));
    // Clients push on the strength of this answer.
    if (stat && meaning.kind === 'pushed') {
      await this.#options.links.refresh(meaning.repository, 'blob', digest, signal);
    }
    return stat;
  }

  async blob(
    requested: RequestedRepository,
    digest: Digest,
    options: BlobOptions,
    signal: AbortSignal,
  ): Promise<BlobBody | BlobRedirect | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning && this.#options.local.blob(meaning.repository, digest, options, signal);
  }

  async tags(requested: RequestedRepository, signal: AbortSignal): Promise<Tag[] | undefined> {
    const meaning = await this.#meaning(requested, signal);
    return meaning && this.#options.local.tags(meaning.repository, signal);
  }

  async referrers(
    requested: RequestedRepository,
    subject: Digest,
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage> {
    const meaning = await this.#meaning(requested, signal);
    return meaning
      ? this.#options.local.referrers(meaning.repository, subject, request, signal)
      : { descriptors: [], next: undefined };
  }

  /** Undefined for a foreign `ns`, and for a cached repository that may not be served. */
  async #meaning(
    { name, namespace }: RequestedRepository,
    signal: AbortSignal,
  ): Promise<LocalMeaning | undefined> {
    const { upstreams, projects, publicHosts, index } = this.#options;
    const table = await upstreams.entries(signal);
    let meaning: LocalMeaning | undefined;
    const host = namespace?.toLowerCase();
    if (host === undefined || publicHosts.includes(host)) {
      meaning = await meaningAtPush(name, table, projects, signal);
    } else {
      const upstream = findUpstream(table, host);
      const found = upstream && upstreamRepository(upstream, name);
      meaning = found && { ...found, kind: 'cached', repository: found.cached, upstream };
    }
    if (meaning?.kind !== 'cached') return meaning;
    const { repository, upstream } = meaning;
    const isServable = await isServableCache(repository, upstream, index.origins, signal);
    return isServable ? meaning : undefined;
  }
}

/** What is cached and not held, where no upstream is asked. */
export function notHeld(name: RepositoryName): Error {
  return registryError('MANIFEST_UNKNOWN', {
    message: `${name} is an image of an upstream registry that is not completely cached here: pull it through the mirror`,
    detail: { name },
  });
}
