import { createHash } from 'node:crypto';

import { MEDIA_TYPES } from './oci-fixtures.ts';

/** What a registry answers to every request that clients make to pull all of it: two registries can be compared. */
export type RegistryContents = Readonly<Record<string, string>>;

interface ManifestBody {
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
  readonly manifests?: readonly { readonly digest: string }[];
}

const ACCEPT = Object.values(MEDIA_TYPES)
  .flatMap(({ manifest, index }) => [manifest, index])
  .join(', ');

/**
 * The catalog and, below `project`, every tag, every manifest by tag and by digest with what it names, and every blob,
 * each with its status, media type, length, digest and the hash of its bytes. `untagged`: `name@digest` of manifests
 * that no tag leads to.
 */
export async function contentsOf(
  url: string,
  project: string,
  untagged: readonly string[] = [],
): Promise<RegistryContents> {
  const contents: Record<string, string> = {};
  const repositories = (await catalogOf(url)).filter(
    (name) => name === project || name.startsWith(`${project}/`),
  );
  contents['catalog'] = repositories.join(' ');
  for (const name of repositories) {
    const tags = await tagsOf(url, name);
    contents[`${name} tags`] = tags.join(' ');
    for (const tag of tags) await addManifest(contents, url, name, tag);
  }
  for (const reference of untagged) {
    const [name = '', digest = ''] = reference.split('@');
    await addManifest(contents, url, name, digest);
  }
  return contents;
}

export async function catalogOf(url: string): Promise<string[]> {
  const response = await fetch(`${url}/v2/_catalog?n=1000`);
  const { repositories } = (await response.json()) as { repositories: string[] | null };
  return (repositories ?? []).sort();
}

/** Empty too for a repository that the registry says it does not have. */
export async function tagsOf(url: string, name: string): Promise<string[]> {
  const response = await fetch(`${url}/v2/${name}/tags/list`);
  const { tags } = (await response.json()) as { tags?: string[] | null };
  return (tags ?? []).sort();
}

async function addManifest(
  contents: Record<string, string>,
  url: string,
  name: string,
  reference: string,
): Promise<void> {
  const separator = reference.includes(':') ? '@' : ':';
  const key = `${name}${separator}${reference}`;
  if (key in contents) return;
  const headers = { accept: ACCEPT };
  const response = await fetch(`${url}/v2/${name}/manifests/${reference}`, { headers });
  const bytes = Buffer.from(await response.arrayBuffer());
  contents[key] = describe(response, bytes);
  const head = await fetch(`${url}/v2/${name}/manifests/${reference}`, { headers, method: 'HEAD' });
  contents[`HEAD ${key}`] = describe(head, Buffer.alloc(0));
  if (response.status !== 200) return;
  const digest = response.headers.get('docker-content-digest') ?? '';
  await addManifest(contents, url, name, digest);
  const body = JSON.parse(bytes.toString('utf8')) as ManifestBody;
  for (const child of body.manifests ?? []) await addManifest(contents, url, name, child.digest);
  const blobs = [...(body.config ? [body.config] : []), ...(body.layers ?? [])];
  for (const blob of blobs) await addBlob(contents, url, name, blob.digest);
}

async function addBlob(
  contents: Record<string, string>,
  url: string,
  name: string,
  digest: string,
): Promise<void> {
  const key = `${name} blob ${digest}`;
  if (key in contents) return;
  const response = await fetch(`${url}/v2/${name}/blobs/${digest}`);
  contents[key] = describe(response, Buffer.from(await response.arrayBuffer()));
}

function describe(response: Response, bytes: Buffer): string {
  const { headers, status } = response;
  const told = ['content-type', 'content-length', 'docker-content-digest'].map(
    (name) => headers.get(name) ?? '-',
  );
  // What a refusal says is each registry's own.
  if (status !== 200) return String(status);
  return [status, ...told, createHash('sha256').update(bytes).digest('hex')].join(' ');
}
