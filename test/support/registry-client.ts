import { createHash } from 'node:crypto';

import { digestOf, MEDIA_TYPES } from './oci-fixtures.ts';
import type { FixtureBlob, FixtureImage, FixtureIndex, FixtureManifest } from './oci-fixtures.ts';

/** A manifest as a registry answered it, proved to match the digest that it was announced with. */
export interface PulledManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

interface ManifestBody {
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
}

const ACCEPT = Object.values(MEDIA_TYPES)
  .flatMap(({ manifest, index }) => [manifest, index])
  .join(', ');

/** Pushes what an image consists of and then the image, as clients do: blobs, manifest, tag. */
export async function pushImage(
  url: string,
  repo: string,
  tag: string,
  image: FixtureImage,
): Promise<void> {
  for (const blob of image.blobs) await pushBlob(url, repo, blob);
  await pushManifest(url, repo, tag, image.manifest);
}

/** Pushes the children by digest and then the index. */
export async function pushIndex(
  url: string,
  repo: string,
  tag: string,
  index: FixtureIndex,
): Promise<void> {
  for (const image of index.images) await pushImage(url, repo, image.manifest.digest, image);
  await pushManifest(url, repo, tag, index.manifest);
}

/** POST and one PUT with all the bytes. */
export async function pushBlob(url: string, repo: string, blob: FixtureBlob): Promise<void> {
  const opened = await fetch(`${url}/v2/${repo}/blobs/uploads/`, { method: 'POST' });
  await requireStatus(opened, 202);
  const target = locationOf(opened);
  target.searchParams.set('digest', blob.digest);
  const committed = await fetch(target, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: new Uint8Array(blob.bytes),
  });
  await requireStatus(committed, 201);
}

export async function pushManifest(
  url: string,
  repo: string,
  reference: string,
  manifest: FixtureManifest,
): Promise<void> {
  const response = await fetch(`${url}/v2/${repo}/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': manifest.mediaType },
    body: new Uint8Array(manifest.bytes),
  });
  await requireStatus(response, 201);
}

/** The manifest under a tag or digest. Throws on any other status than 200 and on bytes that differ from the digest. */
export async function pullManifest(
  url: string,
  repo: string,
  reference: string,
): Promise<PulledManifest> {
  const response = await fetch(`${url}/v2/${repo}/manifests/${reference}`, {
    headers: { accept: ACCEPT },
  });
  if (response.status !== 200) await requireStatus(response, 200);
  const bytes = Buffer.from(await response.arrayBuffer());
  const digest = response.headers.get('docker-content-digest') ?? '';
  if (digestOf(bytes) !== digest)
    throw new Error(`${repo}:${reference} is announced as ${digest} and is not`);
  return { digest, mediaType: response.headers.get('content-type') ?? '', bytes };
}

/** Pulls the manifest, the config and every layer, and proves each against its digest. Answers the manifest. */
export async function pullImage(
  url: string,
  repo: string,
  reference: string,
): Promise<PulledManifest> {
  const manifest = await pullManifest(url, repo, reference);
  const body = JSON.parse(manifest.bytes.toString('utf8')) as ManifestBody;
  const blobs = [...(body.config === undefined ? [] : [body.config]), ...(body.layers ?? [])];
  await Promise.all(blobs.map(({ digest }) => pullBlob(url, repo, digest)));
  return manifest;
}

/** Reads a blob without keeping it and proves it; answers its size. */
async function pullBlob(url: string, repo: string, digest: string): Promise<number> {
  const response = await fetch(`${url}/v2/${repo}/blobs/${digest}`);
  if (response.status !== 200 || response.body === null) {
    await requireStatus(response, 200);
    throw new Error(`blob ${digest} came without a body`);
  }
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    size += chunk.length;
  }
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== digest) throw new Error(`blob ${digest} arrived as ${actual}`);
  return size;
}

/** The absolute URL of a response's Location header. */
export function locationOf(response: Response): URL {
  return new URL(response.headers.get('location') ?? '', response.url);
}

/** Throws with the answer's body unless it has the status; the body is consumed. */
export async function requireStatus(response: Response, status: number): Promise<void> {
  const body = await response.text();
  if (response.status !== status)
    throw new Error(`${response.url} answered ${response.status}, not ${status}: ${body}`);
}
