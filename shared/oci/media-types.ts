/** The manifest types that clients and registries exchange (image-spec, media-types.md; Docker image manifest v2.2). */
export const MEDIA_TYPES = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const;

const INDEX_TYPES: ReadonlySet<string> = new Set([MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerList]);

/** Types of layers that a registry need not hold (image-spec, layer.md#non-distributable-layers). */
const FOREIGN_LAYER_TYPES: ReadonlySet<string> = new Set([
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
]);

export const isIndexType = (mediaType: string): boolean => INDEX_TYPES.has(mediaType);
export const isForeignLayerType = (mediaType: string): boolean =>
  FOREIGN_LAYER_TYPES.has(mediaType);

/** What a mirror accepts from upstreams: all four types named, since some refuse what is not. */
export const MANIFEST_ACCEPT = [
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.dockerList,
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.dockerManifest,
  '*/*',
].join(', ');

/** Exactly 4 MiB: containerd refuses above 4,393,216 bytes, distribution above this. */
export const MANIFEST_MAX_BYTES = 4 * 1024 * 1024;
