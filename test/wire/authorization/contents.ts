import { type Digest, digestOf } from '../../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../../shared/oci/media-types.ts';

/** Bytes under a name. */
export interface Content {
  readonly bytes: Buffer;
  readonly digest: Digest;
}

/** What one repository holds; no two have a digest in common. */
export interface RepositoryContent {
  readonly config: Content;
  readonly layer: Content;
  /** The layer and the manifest are there under this algorithm, too. */
  readonly layer512: Digest;
  /** In nobody's way: for mounts. */
  readonly mountable: Content;
  /** Tagged `v1`. */
  readonly manifest: Content;
  readonly manifest512: Digest;
  /** An index of the manifest, tagged `multi`. */
  readonly index: Content;
  /** Its subject is the manifest. */
  readonly referrer: Content;
}

export const TAG = 'v1';

export const contentOf = (bytes: Buffer): Content => ({ bytes, digest: digestOf(bytes) });
const ofJson = (value: object): Content => contentOf(Buffer.from(JSON.stringify(value)));
const describe = (mediaType: string, { bytes, digest }: Content): object => ({
  mediaType,
  digest,
  size: bytes.length,
});

const IMAGE = MEDIA_TYPES.ociManifest;

export function makeContent(repository: string): RepositoryContent {
  const config = ofJson({ architecture: 'amd64', os: 'linux', of: repository });
  const layer = contentOf(Buffer.alloc(300, `the layer of ${repository}. `));
  const mountable = contentOf(Buffer.from(`a blob of ${repository}`));
  const image = {
    schemaVersion: 2,
    mediaType: IMAGE,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: [describe('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
  };
  const manifest = ofJson(image);
  return {
    config,
    layer,
    layer512: digestOf(layer.bytes, 'sha512'),
    mountable,
    manifest,
    manifest512: digestOf(manifest.bytes, 'sha512'),
    index: ofJson({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [describe(IMAGE, manifest)],
    }),
    referrer: ofJson({
      ...image,
      artifactType: 'application/x',
      subject: describe(IMAGE, manifest),
    }),
  };
}

/** A manifest that needs nothing, another one for each mark. */
export const looseManifest = (mark: string): Content =>
  ofJson({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [],
    annotations: { mark },
  });

export const LOOSE_TYPE = MEDIA_TYPES.ociIndex;

type Put = (path: string, method: string, body: Buffer, type: string) => Promise<void>;

/** Pushes all of it, children before what names them. */
export async function pushContent(
  repository: string,
  content: RepositoryContent,
  put: Put,
): Promise<void> {
  const { config, layer, layer512, mountable, manifest, manifest512, index, referrer } = content;
  const blob = (digest: string, bytes: Buffer): Promise<void> =>
    put(
      `/v2/${repository}/blobs/uploads/?digest=${digest}`,
      'POST',
      bytes,
      'application/octet-stream',
    );
  for (const { digest, bytes } of [config, layer, mountable]) await blob(digest, bytes);
  await blob(layer512, layer.bytes);
  const name = `/v2/${repository}/manifests`;
  await put(`${name}/${TAG}`, 'PUT', manifest.bytes, IMAGE);
  await put(`${name}/${manifest512}`, 'PUT', manifest.bytes, IMAGE);
  await put(`${name}/${referrer.digest}`, 'PUT', referrer.bytes, IMAGE);
  await put(`${name}/multi`, 'PUT', index.bytes, MEDIA_TYPES.ociIndex);
}
