import {
  digestOf,
  type FixtureImage,
  type FixtureManifest,
  makeImage,
  makeIndex,
} from './oci-fixtures.ts';
import { pushImage, pushIndex, pushManifest } from './registry-client.ts';

/** How many tags one repository gets: more than any page of a listing that is asked for. */
export const MANY_TAGS = 60;

export interface VariedImages {
  /** `name@digest` of the manifests that no tag leads to. */
  readonly untagged: readonly string[];
  /** The image that the referrers in `<project>/signed` have as their subject. */
  readonly subject: FixtureManifest;
  readonly referrers: readonly FixtureManifest[];
}

/** Pushes every kind of image that each registry of this layout takes, under names that are near each other. */
export async function pushVariedImages(url: string, project: string): Promise<VariedImages> {
  await pushImage(url, project, '1', makeImage());
  await pushImage(url, `${project}/oci`, '1', makeImage({ layerBytes: [10, 100_000] }));
  await pushImage(url, `${project}/oci-2`, 'v1.0_a-B', makeImage());
  await pushImage(url, `${project}/oci/nested`, '1', makeImage());
  await pushImage(url, `${project}/docker`, '1', makeImage({ format: 'docker' }));
  await pushIndex(url, `${project}/index`, '1', makeIndex());
  await pushIndex(url, `${project}/list`, '1', makeIndex(['amd64', 'arm64'], { format: 'docker' }));
  await pushImage(url, `${project}/untyped`, '1', untyped(makeImage()));

  const many = makeImage();
  await pushImage(url, `${project}/many`, 'tag-10', many);
  // None begins with another: distribution leaves such tags out of its lists on S3.
  const tags = Array.from({ length: MANY_TAGS - 1 }, (_, number) => `tag-${number + 11}`);
  await Promise.all(tags.map((tag) => pushManifest(url, `${project}/many`, tag, many.manifest)));

  const signed = `${project}/signed`;
  const subject = makeImage();
  await pushImage(url, signed, '1', subject);
  const signatures = ['application/vnd.example.signature', 'application/vnd.example.sbom'].map(
    (artifactType) => makeImage({ subject: subject.manifest, artifactType, layerBytes: [50] }),
  );
  for (const signature of signatures) {
    await pushImage(url, signed, signature.manifest.digest, signature);
  }
  const referrers = signatures.map(({ manifest }) => manifest);
  return {
    untagged: referrers.map(({ digest }) => `${signed}@${digest}`),
    subject: subject.manifest,
    referrers,
  };
}

/** The same image with a manifest that does not name its media type, as the OCI specification allows. */
function untyped({ manifest, blobs }: FixtureImage): FixtureImage {
  const { mediaType, ...body } = JSON.parse(manifest.bytes.toString('utf8')) as {
    mediaType: string;
  };
  const bytes = Buffer.from(JSON.stringify(body));
  return { manifest: { mediaType, bytes, digest: digestOf(bytes) }, blobs };
}
