import { isMeant, type ReferencePattern } from '../../../shared/content/reference-pattern.ts';
import { readLastUse } from '../../../shared/content/last-use.ts';
import {
  isLinked,
  type ListedLink,
  listLinks,
} from '../../../shared/content/removal/stored-references.ts';
import type { RegistryIndex } from '../../../shared/index/ports.ts';
import { mapBounded } from '../../../shared/index/store/map-bounded.ts';
import type { Digest } from '../../../shared/oci/digest.ts';
import { RegistryError } from '../../../shared/oci/errors.ts';
import {
  detectManifestType,
  parseManifest,
  type ParsedManifest,
} from '../../../shared/oci/manifest.ts';
import { MANIFEST_MAX_BYTES } from '../../../shared/oci/media-types.ts';
import type { RepositoryName, Tag } from '../../../shared/oci/reference.ts';
import type { BlobStore } from '../../../shared/storage/blob-store.ts';
import { layerLinkKey, revisionLinkKey } from '../../../shared/storage/object-keys.ts';
import type { RecordStore } from '../../../shared/storage/record-store.ts';

export interface CacheSurveyOptions {
  readonly records: RecordStore;
  /** Also what is being removed. */
  readonly blobs: BlobStore;
  /** Of the store itself. */
  readonly stored: RegistryIndex;
}

/** The reverse index of what is cached: which repositories link each blob. Made of the whole store, or not at all. */
export interface Holdings {
  /** Bytes of each blob and manifest that a cached repository links. */
  readonly sizes: ReadonlyMap<Digest, number>;
  readonly links: ReadonlyMap<RepositoryName, readonly ListedLink[]>;
  /** Those that a pushed repository links too: they stay whatever is evicted. */
  readonly pushed: ReadonlySet<Digest>;
}

/** What is evicted as one: a cached manifest with the blobs that it names, or a blob that no cached manifest names. */
export interface CachedUnit {
  readonly kind: 'image' | 'blob';
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly tags: readonly Tag[];
  readonly lastUsed: Date;
  readonly isPinned: boolean;
  /** The digests whose links the repository has for it, its own among them. */
  readonly needs: readonly Digest[];
}

interface CachedManifest {
  readonly digest: Digest;
  readonly tags: Tag[];
  readonly parsed: ParsedManifest | undefined;
}

/** Reads from the store what the cache holds. Whatever cannot be read is thrown: then nothing is evicted. */
export class CacheSurvey {
  readonly #options: CacheSurveyOptions;
  /** Sizes never change; those that are not held any more are forgotten. */
  #sizes: ReadonlyMap<Digest, number> = new Map();

  constructor(options: CacheSurveyOptions) {
    this.#options = options;
  }

  async holdings(signal: AbortSignal): Promise<Holdings> {
    const { records, blobs, stored } = this.#options;
    const links = new Map<RepositoryName, readonly ListedLink[]>();
    const pushedRepositories: RepositoryName[] = [];
    await mapBounded(await stored.catalog.repositories(signal), async (repository) => {
      if (await stored.origins.get(repository, signal)) {
        links.set(repository, await listLinks(records, repository, signal));
      } else pushedRepositories.push(repository);
    });
    const held = new Set([...links.values()].flat().map(({ digest }) => digest));
    const sizes = new Map<Digest, number>();
    await mapBounded([...held], async (digest) => {
      const size = this.#sizes.get(digest) ?? (await blobs.stat(digest, signal))?.size;
      if (size !== undefined) sizes.set(digest, size);
    });
    this.#sizes = sizes;
    const pushed = new Set<Digest>();
    await mapBounded(pushedRepositories, async (repository) => {
      for (const { digest } of await listLinks(records, repository, signal)) {
        if (held.has(digest)) pushed.add(digest);
      }
    });
    return { sizes, links, pushed };
  }

  /** All that could be evicted, pinned or not. */
  async units(
    { links }: Holdings,
    pins: readonly ReferencePattern[],
    signal: AbortSignal,
  ): Promise<CachedUnit[]> {
    const units: CachedUnit[] = [];
    for (const [repository, own] of links) {
      units.push(...(await this.#unitsOf(repository, own, pins, signal)));
    }
    return units;
  }

  async #unitsOf(
    repository: RepositoryName,
    links: readonly ListedLink[],
    pins: readonly ReferencePattern[],
    signal: AbortSignal,
  ): Promise<CachedUnit[]> {
    const { records } = this.#options;
    const manifests = await this.#manifests(repository, links, signal);
    const pinned = pinnedManifests(repository, manifests, pins);
    const lastUse = await readLastUse(records, repository, signal);
    const blobs = new Set(links.filter(({ kind }) => kind === 'blob').map(({ digest }) => digest));
    const images = await mapBounded(manifests, async ({ digest, tags, parsed }) => {
      const named = parsed ? [...(parsed.config ? [parsed.config] : []), ...parsed.layers] : [];
      const needed = named.map((descriptor) => descriptor.digest).filter((own) => blobs.has(own));
      const lastUsed =
        lastUse.get(digest) ??
        (await records.modifiedAt(revisionLinkKey(repository, digest), signal));
      return {
        kind: 'image',
        repository,
        digest,
        tags,
        lastUsed: lastUsed ?? new Date(0),
        isPinned: pinned.has(digest),
        needs: [...new Set([digest, ...needed])],
      } as const;
    });
    const needed = new Set(images.flatMap(({ needs }) => needs));
    const loose = [...blobs].filter((digest) => !needed.has(digest));
    return [
      ...images,
      ...(await mapBounded(loose, async (digest) => {
        const linkedAt = await records.modifiedAt(layerLinkKey(repository, digest), signal);
        const isPinned = pins.some((pin) => isMeant(pin, { repository, digest }));
        const lastUsed = linkedAt ?? new Date(0);
        return {
          kind: 'blob',
          repository,
          digest,
          tags: [],
          lastUsed,
          isPinned,
          needs: [digest],
        } as const;
      })),
    ];
  }

  async #manifests(
    repository: RepositoryName,
    links: readonly ListedLink[],
    signal: AbortSignal,
  ): Promise<CachedManifest[]> {
    const { records, blobs, stored } = this.#options;
    const revisions = links.filter(({ kind }) => kind === 'manifest');
    const tagsOf = new Map<Digest, Tag[]>();
    await mapBounded(await stored.tags.list(repository, signal), async (tag) => {
      const digest = await stored.tags.get(repository, tag, signal);
      if (digest) tagsOf.set(digest, [...(tagsOf.get(digest) ?? []), tag]);
    });
    const found = await mapBounded(revisions, async (link) => {
      // Folders of removed links stay on some stores.
      if (!(await isLinked(records, link, signal))) return undefined;
      const parsed = await parsedManifest(blobs, link.digest, signal);
      return { digest: link.digest, tags: tagsOf.get(link.digest) ?? [], parsed };
    });
    return found.filter((manifest) => manifest !== undefined);
  }
}

/** With an index its children stay too. */
function pinnedManifests(
  repository: RepositoryName,
  manifests: readonly CachedManifest[],
  pins: readonly ReferencePattern[],
): Set<Digest> {
  const children = new Map(
    manifests.map(({ digest, parsed }) => [
      digest,
      (parsed?.manifests ?? []).map((child) => child.digest),
    ]),
  );
  const queue = manifests
    .filter(({ digest, tags }) =>
      [undefined, ...tags].some((tag) =>
        pins.some((pin) => isMeant(pin, { repository, tag, digest })),
      ),
    )
    .map(({ digest }) => digest);
  const pinned = new Set<Digest>();
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (pinned.has(next)) continue;
    pinned.add(next);
    queue.push(...(children.get(next) ?? []));
  }
  return pinned;
}

/** Undefined for what is not there, or is no manifest. */
export async function parsedManifest(
  blobs: BlobStore,
  digest: Digest,
  signal: AbortSignal,
): Promise<ParsedManifest | undefined> {
  const bytes = await blobs.read(digest, MANIFEST_MAX_BYTES, signal);
  if (!bytes) return undefined;
  try {
    return parseManifest(bytes, detectManifestType(bytes).mediaType);
  } catch (error) {
    if (error instanceof RegistryError) return undefined;
    throw error;
  }
}
