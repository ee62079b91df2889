import { createHash, randomBytes } from 'node:crypto';

const MIB = 1024 * 1024;
const TYPES = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
};
/** Layers that a seeded manifest names: together it has the size of an ordinary image's, 1.5 kB. */
const LAYERS = 7;
const CONFIG_BYTES = 7 * 1024;

/** Bytes under their digest. */
export interface SeedBlob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface SeedManifest extends SeedBlob {
  readonly repository: string;
  readonly tag: string;
  readonly mediaType: string;
}

/** What every registry of a run is filled with before anything is measured. */
export interface Seed {
  /** Spread over `repositories`, in no order that a cache could profit from. */
  readonly manifests: readonly SeedManifest[];
  readonly repositories: readonly string[];
  /** Belong to `blobRepository`: a config, a layer of 2 MB, one of 60 MB. */
  readonly blobRepository: string;
  readonly blobs: { readonly config: SeedBlob; readonly small: SeedBlob; readonly large: SeedBlob };
}

/** A working set of `manifests` manifests, four in each repository. */
export function makeSeed(manifests: number): Seed {
  const repositories = Array.from(
    { length: Math.ceil(manifests / 4) },
    (_, position) => `bench/app-${String(position).padStart(5, '0')}`,
  );
  return {
    manifests: Array.from({ length: manifests }, (_, position) => {
      const repository = repositories[position % repositories.length] ?? '';
      return makeManifest(repository, `v${Math.floor(position / repositories.length)}`);
    }),
    repositories,
    blobRepository: 'bench/blobs',
    blobs: {
      config: blobOf(configBytes()),
      small: blobOf(randomBytes(2 * MIB)),
      large: blobOf(randomBytes(60 * MIB)),
    },
  };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function blobOf(bytes: Buffer): SeedBlob {
  return { digest: digestOf(bytes), bytes };
}

function makeManifest(repository: string, tag: string): SeedManifest {
  const some = (): string => `sha256:${randomBytes(32).toString('hex')}`;
  const document = {
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    config: { mediaType: TYPES.config, digest: some(), size: CONFIG_BYTES },
    layers: Array.from({ length: LAYERS }, () => ({
      mediaType: TYPES.layer,
      digest: some(),
      size: 3_000_000,
    })),
  };
  const bytes = Buffer.from(JSON.stringify(document));
  return { repository, tag, mediaType: TYPES.manifest, ...blobOf(bytes) };
}

function configBytes(): Buffer {
  const history = Array.from({ length: 30 }, () => ({
    created: '2026-01-01T00:00:00Z',
    created_by: randomBytes(80).toString('hex'),
  }));
  return Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', history }));
}
