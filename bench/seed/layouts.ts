import type { Seed, SeedBlob } from './content.ts';

/** One file or object of a store. */
export interface SeedEntry {
  readonly key: string;
  readonly bytes: Buffer;
}

const ROOT = 'docker/registry/v2';

/** The seed as the CNCF registry, and so Twinport, keeps it. */
export function* registryLayout(seed: Seed): Generator<SeedEntry> {
  for (const { repository, tag, digest, bytes } of seed.manifests) {
    const manifests = `${ROOT}/repositories/${repository}/_manifests`;
    const link = Buffer.from(digest);
    yield { key: blobKey(digest), bytes };
    yield { key: `${manifests}/revisions/${slashed(digest)}/link`, bytes: link };
    yield { key: `${manifests}/tags/${tag}/index/${slashed(digest)}/link`, bytes: link };
    yield { key: `${manifests}/tags/${tag}/current/link`, bytes: link };
  }
  for (const { digest, bytes } of blobsOf(seed)) {
    yield { key: blobKey(digest), bytes };
    const layers = `${ROOT}/repositories/${seed.blobRepository}/_layers`;
    yield { key: `${layers}/${slashed(digest)}/link`, bytes: Buffer.from(digest) };
  }
}

/** The key of a pushed blob in that layout. */
export function blobKey(digest: string): string {
  const hex = digest.slice('sha256:'.length);
  return `${ROOT}/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
}

/** The seed as one OCI image layout for each repository, which is how zot keeps it. */
export function* imageLayouts(seed: Seed): Generator<SeedEntry> {
  const byRepository = Map.groupBy(seed.manifests, ({ repository }) => repository);
  byRepository.set(seed.blobRepository, []);
  for (const [repository, manifests] of byRepository) {
    const index = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: manifests.map(({ mediaType, digest, bytes, tag }) => ({
        mediaType,
        digest,
        size: bytes.length,
        annotations: { 'org.opencontainers.image.ref.name': tag },
      })),
    };
    yield json(`${repository}/oci-layout`, { imageLayoutVersion: '1.0.0' });
    yield json(`${repository}/index.json`, index);
    for (const manifest of manifests) yield imageBlob(repository, manifest);
  }
  for (const blob of blobsOf(seed)) yield imageBlob(seed.blobRepository, blob);
}

/** The key of a blob of a repository in that layout. */
export function imageBlobKey(repository: string, digest: string): string {
  return `${repository}/blobs/${slashed(digest)}`;
}

const blobsOf = ({ blobs }: Seed): SeedBlob[] => [blobs.config, blobs.small, blobs.large];

const slashed = (digest: string): string => digest.replace(':', '/');

const imageBlob = (repository: string, { digest, bytes }: SeedBlob): SeedEntry => ({
  key: imageBlobKey(repository, digest),
  bytes,
});

const json = (key: string, value: unknown): SeedEntry => ({
  key,
  bytes: Buffer.from(JSON.stringify(value)),
});
