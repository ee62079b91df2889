import { expect } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { call } from './call-table.ts';

/** Images, artifacts and what they consist of, as the tables push and pull them. */
export const config = Buffer.from('{"architecture":"amd64","os":"linux"}');
export const layer = Buffer.alloc(2_000, 'layer');
export const configDigest = digestOf(config);
export const layerDigest = digestOf(layer);
export const layerDigest512 = digestOf(layer, 'sha512');
export const emptyDigest = digestOf(Buffer.alloc(0));
export const unknownDigest = digestOf(Buffer.from('never pushed'));

const descriptor = (mediaType: string, bytes: Buffer): object => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});
const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const image = (fields: object): Buffer =>
  json({
    schemaVersion: 2,
    ...fields,
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
  });

export const manifest = image({ mediaType: MEDIA_TYPES.ociManifest });
export const manifestDigest = digestOf(manifest);
export const manifestDigest512 = digestOf(manifest, 'sha512');
export const manifestType = { 'Content-Type': MEDIA_TYPES.ociManifest };

const signature = image({
  mediaType: MEDIA_TYPES.ociManifest,
  artifactType: 'application/example.signature',
  subject: descriptor(MEDIA_TYPES.ociManifest, manifest),
});
const bill = image({
  mediaType: MEDIA_TYPES.ociManifest,
  artifactType: 'application/example.bill',
  subject: descriptor(MEDIA_TYPES.ociManifest, manifest),
  annotations: { 'org.example.tool': 'wire' },
});
const platforms = json({
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex,
  manifests: [
    {
      ...descriptor(MEDIA_TYPES.ociManifest, manifest),
      platform: { architecture: 'amd64', os: 'linux' },
    },
  ],
});
export const artifact = signature;
export const artifactDigest = digestOf(artifact);

export interface WireManifest {
  readonly tag: string | undefined;
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

const stored = (tag: string | undefined, mediaType: string, bytes: Buffer): WireManifest => ({
  tag,
  digest: digestOf(bytes),
  mediaType,
  bytes,
});

/** Sorted by tag; those without one last. */
export const wireManifests: readonly WireManifest[] = [
  stored(
    'docker',
    MEDIA_TYPES.dockerManifest,
    image({ mediaType: MEDIA_TYPES.dockerManifest, note: 'docker' }),
  ),
  stored('index', MEDIA_TYPES.ociIndex, platforms),
  stored('untyped', MEDIA_TYPES.ociManifest, image({ note: 'the body does not name its type' })),
  stored('v1', MEDIA_TYPES.ociManifest, manifest),
  { ...stored(undefined, MEDIA_TYPES.ociManifest, manifest), digest: manifestDigest512 },
  stored(undefined, MEDIA_TYPES.ociManifest, signature),
  stored(undefined, MEDIA_TYPES.ociManifest, bill),
];

/** The referrers of `manifest` as they are listed, sorted by digest. */
export const wireReferrers = [
  { bytes: signature, artifactType: 'application/example.signature' },
  {
    bytes: bill,
    artifactType: 'application/example.bill',
    annotations: { 'org.example.tool': 'wire' },
  },
]
  .map(({ bytes, ...fields }) => ({
    mediaType: MEDIA_TYPES.ociManifest,
    digest: digestOf(bytes),
    size: bytes.length,
    ...fields,
  }))
  .sort((a, b) => (a.digest < b.digest ? -1 : 1));

export const wireBlobs: readonly (readonly [digest: string, bytes: Buffer])[] = [
  [configDigest, config],
  [layerDigest, layer],
  [layerDigest512, layer],
  [emptyDigest, Buffer.alloc(0)],
];

/** Pushes all of it. */
export async function pushWireContent(url: string, repository: string): Promise<void> {
  for (const [digest, body] of wireBlobs) {
    const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
    expect(await call(url, { method: 'POST', path, body })).toMatchObject({ status: 201 });
  }
  // Children before the index that lists them.
  const isIndex = ({ mediaType }: WireManifest): boolean => mediaType === MEDIA_TYPES.ociIndex;
  const inOrder = [
    ...wireManifests.filter((one) => !isIndex(one)),
    ...wireManifests.filter(isIndex),
  ];
  for (const { tag, digest, mediaType, bytes } of inOrder) {
    const answer = await call(url, {
      method: 'PUT',
      path: `/v2/${repository}/manifests/${tag ?? digest}`,
      headers: { 'Content-Type': mediaType },
      body: bytes,
    });
    expect(answer).toMatchObject({ status: 201, headers: { 'docker-content-digest': digest } });
  }
}
