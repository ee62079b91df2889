import type { CacheConfig } from '../../../../shared/config/config.ts';
import { testUpstream } from '../../../../shared/config/testing/test-upstream.ts';
import { LastUse } from '../../../../shared/content/last-use.ts';
import { ManifestStore } from '../../../../shared/content/manifest-store.ts';
import { DeletingMarks } from '../../../../shared/content/removal/deleting-marks.ts';
import {
  REMOVAL_TIMING,
  type RemovalTiming,
} from '../../../../shared/content/removal/removal-timing.ts';
import { RemovalGuard } from '../../../../shared/content/removal/removal-guard.ts';
import { RecordedEdge } from '../../../../shared/http/testing/recorded-edge.ts';
import type { RegistryIndex } from '../../../../shared/index/ports.ts';
import { createStoreIndex } from '../../../../shared/index/store/create-store-index.ts';
import type { Clock } from '../../../../shared/lifecycle/clock.ts';
import { type Digest, parseDigest } from '../../../../shared/oci/digest.ts';
import { parseManifest } from '../../../../shared/oci/manifest.ts';
import type { RepositoryName, Tag } from '../../../../shared/oci/reference.ts';
import type { BlobStore } from '../../../../shared/storage/blob-store.ts';
import type { RecordStore } from '../../../../shared/storage/record-store.ts';
import type { FixtureImage, FixtureManifest } from '../../../../test/support/oci-fixtures.ts';
import { CacheEviction } from '../cache-eviction.ts';

export interface LabStores {
  readonly records: RecordStore;
  readonly blobs: BlobStore;
}

/** One process over the stores, with its own view of what is being removed. */
export interface LabProcess {
  readonly index: RegistryIndex;
  readonly blobs: BlobStore;
  readonly marks: DeletingMarks;
  readonly guard: RemovalGuard;
  readonly manifests: ManifestStore;
  readonly lastUse: LastUse;
  readonly edge: RecordedEdge;
  eviction(config?: Partial<CacheConfig>): CacheEviction;
}

const unending = new AbortController().signal;

export function openProcess(
  { records, blobs }: LabStores,
  clock: Clock,
  options: { readonly timing?: RemovalTiming; readonly lifetime?: AbortSignal } = {},
): LabProcess {
  const { timing = REMOVAL_TIMING, lifetime = unending } = options;
  const stored = createStoreIndex(records, clock);
  const marks = new DeletingMarks({ records, clock, timing, lifetime });
  const guard = new RemovalGuard({ blobs, members: stored.members, marks, clock, timing });
  const index = { ...stored, members: guard.members };
  const manifests = new ManifestStore(guard.blobs, index, undefined, 0);
  const edge = new RecordedEdge();
  return {
    index,
    blobs: guard.blobs,
    marks,
    guard,
    manifests,
    edge,
    lastUse: new LastUse({ records, origins: stored.origins, clock, log: edge.log }),
    eviction: (config = {}) =>
      new CacheEviction({
        records,
        blobs,
        stored,
        catalog: stored.catalog,
        index,
        manifests,
        marks,
        clock,
        timing,
        redirectSeconds: 0,
        upstreams: [testUpstream()],
        observer: edge.observer,
        log: edge.log,
        config: {
          maxBytes: 1,
          highPercent: 100,
          lowPercent: 0,
          minAgeSeconds: 0,
          pins: [],
          intervalSeconds: 600,
          ...config,
        },
      }),
  };
}

export const digestIn = ({ digest }: { readonly digest: string }): Digest => {
  const parsed = parseDigest(digest);
  if (!parsed) throw new Error(`${digest} is no digest`);
  return parsed;
};

export async function putManifest(
  { manifests }: LabProcess,
  repository: RepositoryName,
  manifest: FixtureManifest,
  tags: readonly Tag[],
): Promise<void> {
  const { bytes, mediaType } = manifest;
  const parsed = parseManifest(bytes, mediaType);
  await manifests.put(repository, { bytes, digest: digestIn(manifest), parsed }, tags, unending);
}

/** Stores an image with all its blobs, as a push or a fill does. */
export async function putImage(
  process: LabProcess,
  repository: RepositoryName,
  tag: string,
  image: FixtureImage,
): Promise<void> {
  for (const { digest, bytes } of image.blobs) {
    const parsed = digestIn({ digest });
    await process.blobs.put(parsed, bytes, bytes.length, unending);
    await process.index.members.add(repository, 'blob', parsed, unending);
  }
  await putManifest(process, repository, image.manifest, [tag as Tag]);
}

/** Marks the repository as a cached one, as the mirror does before its first link. */
export async function markCached({ index }: LabProcess, repository: RepositoryName): Promise<void> {
  await index.origins.put(
    repository,
    {
      schemaVersion: 1,
      upstreamUrl: 'https://registry-1.docker.io',
      upstreamRepository: repository.split('/').slice(1).join('/'),
      verdict: 'public',
      provedAt: '2026-01-01T00:00:00.000Z',
    },
    unending,
  );
}
