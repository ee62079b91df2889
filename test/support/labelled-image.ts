import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';

/** Pushes an image without layers that carries a label, so that a pull tells whose image it got. */
export async function pushLabelled(
  url: string,
  repository: string,
  tag: string,
  label: string,
): Promise<void> {
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', label }));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.length,
    },
    layers: [],
    annotations: { label },
  });
  const base = `${url}/v2/${repository}`;
  const opened = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
  const location = opened.headers.get('location');
  if (opened.status !== 202 || location === null) throw await refusal(opened);
  const target = new URL(location, url);
  target.searchParams.set('digest', digestOf(config));
  const blob = await fetch(target, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/octet-stream' },
    body: new Uint8Array(config),
  });
  if (blob.status !== 201) throw await refusal(blob);
  const put = await fetch(`${base}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'Content-Type': MEDIA_TYPES.ociManifest },
    body: manifest,
  });
  if (put.status !== 201) throw await refusal(put);
}

/** The label of the image that a pull gets, its config pulled as well; or the status of the answer that refused it. */
export async function pullLabel(
  url: string,
  repository: string,
  tag: string,
  namespace?: string,
): Promise<string | number> {
  const query = namespace === undefined ? '' : `?ns=${namespace}`;
  const base = `${url}/v2/${repository}`;
  const answer = await fetch(`${base}/manifests/${tag}${query}`);
  if (!answer.ok) {
    await answer.arrayBuffer();
    return answer.status;
  }
  const { annotations, config } = (await answer.json()) as {
    annotations: { label: string };
    config: { digest: string };
  };
  const blob = await fetch(`${base}/blobs/${config.digest}${query}`);
  if (!blob.ok) throw await refusal(blob);
  const { label } = (await blob.json()) as { label: string };
  return label === annotations.label ? label : 'two different images';
}

async function refusal(answer: Response): Promise<Error> {
  return new Error(`${answer.url} answered ${answer.status}: ${await answer.text()}`);
}
