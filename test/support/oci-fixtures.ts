import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/** Bytes under their digest, as they lie in a registry. */
export interface FixtureBlob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface FixtureManifest extends FixtureBlob {
  readonly mediaType: string;
}

export interface FixtureImage {
  readonly manifest: FixtureManifest;
  /** The config and the layers. */
  readonly blobs: readonly FixtureBlob[];
}

export interface FixtureIndex {
  readonly manifest: FixtureManifest;
  readonly images: readonly FixtureImage[];
}

export interface ImageOptions {
  /** Size of the one file in each layer. */
  readonly layerBytes?: readonly number[];
  readonly format?: 'oci' | 'docker';
  readonly architecture?: string;
  /** Makes it an artifact that refers to another manifest of the same repository. */
  readonly subject?: FixtureManifest;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export const MEDIA_TYPES = {
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
} as const;

/** An image that docker itself would take: each layer a compressed tar of one file of random bytes, never the same twice. */
export function makeImage(options: ImageOptions = {}): FixtureImage {
  const { layerBytes = [1_000], format = 'oci', architecture = 'amd64' } = options;
  const types = MEDIA_TYPES[format];
  const archives = layerBytes.map((size, position) => tarOf(`file-${position}`, randomBytes(size)));
  // Random bytes do not shrink: level 0 saves the time.
  const layers = archives.map((archive) => makeBlob(gzipSync(archive, { level: 0 })));
  const config = makeBlob(
    toJson({
      architecture,
      os: 'linux',
      config: { Cmd: ['/file-0'] },
      rootfs: { type: 'layers', diff_ids: archives.map(digestOf) },
      history: layers.map(() => ({
        created: '2026-01-01T00:00:00Z',
        created_by: 'twinport tests',
      })),
    }),
  );
  const manifest = makeManifest(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    ...(options.artifactType === undefined ? {} : { artifactType: options.artifactType }),
    config: descriptorOf(config, types.config),
    layers: layers.map((layer) => descriptorOf(layer, types.layer)),
    ...(options.subject === undefined
      ? {}
      : { subject: descriptorOf(options.subject, options.subject.mediaType) }),
    ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
  });
  return { manifest, blobs: [config, ...layers] };
}

/** A multi-platform image: one child for each architecture. */
export function makeIndex(
  architectures: readonly string[] = ['amd64', 'arm64'],
  options: Omit<ImageOptions, 'architecture'> = {},
): FixtureIndex {
  const types = MEDIA_TYPES[options.format ?? 'oci'];
  const images = architectures.map((architecture) => makeImage({ ...options, architecture }));
  const manifest = makeManifest(types.index, {
    schemaVersion: 2,
    mediaType: types.index,
    manifests: images.map((image, position) => ({
      ...descriptorOf(image.manifest, types.manifest),
      platform: { architecture: architectures[position], os: 'linux' },
    })),
  });
  return { manifest, images };
}

function makeBlob(bytes: Buffer): FixtureBlob {
  return { digest: digestOf(bytes), bytes };
}

function makeManifest(mediaType: string, content: unknown): FixtureManifest {
  return { ...makeBlob(toJson(content)), mediaType };
}

/** A blob of random bytes, never the same twice. */
export function randomBlob(size: number): FixtureBlob {
  const bytes = randomBytes(size);
  return { bytes, digest: digestOf(bytes) };
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function descriptorOf(
  blob: FixtureBlob,
  mediaType: string,
): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest: blob.digest, size: blob.bytes.length };
}

function toJson(content: unknown): Buffer {
  return Buffer.from(JSON.stringify(content));
}

const TAR_BLOCK_BYTES = 512;

/** A tar archive (ustar) of one regular file. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(TAR_BLOCK_BYTES);
  header.write(name, 0);
  header.write('0000755\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc(
    (TAR_BLOCK_BYTES - (content.length % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES,
  );
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * TAR_BLOCK_BYTES)]);
}
