import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';

/** An image and a referrer of it, as the tables push them. */
export const config = Buffer.from('{"architecture":"amd64","os":"linux"}');
export const layer = Buffer.alloc(2_000, 'layer');
export const configDigest = digestOf(config);
export const layerDigest = digestOf(layer);
export const layerDigest512 = digestOf(layer, 'sha512');
const descriptor = (mediaType: string, bytes: Buffer): object => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});
export const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
  }),
);
export const manifestDigest = digestOf(manifest);
export const artifact = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    artifactType: 'application/example.signature',
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [],
    subject: descriptor(MEDIA_TYPES.ociManifest, manifest),
  }),
);
export const artifactDigest = digestOf(artifact);
export const unknownDigest = digestOf(Buffer.from('never pushed'));
export const manifestType = { 'Content-Type': MEDIA_TYPES.ociManifest };
