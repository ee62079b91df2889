import { z } from 'zod';

import type { ContentSource, ManifestContent } from '../../content/content-source.ts';
import type { RegistryIndex } from '../../index/ports.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, parseDigest } from '../../oci/digest.ts';
import { RegistryError, registryError } from '../../oci/errors.ts';
import { type ParsedManifest, parseManifest } from '../../oci/manifest.ts';
import {
  firstSegment,
  type ManifestReference,
  parseManifestReference,
  parseTag,
  type RepositoryName,
} from '../../oci/reference.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { NEXT, PAGE_QUERY, visiblePage } from '../paging.ts';
import { type ProjectGate, unknownRepository } from '../project-gate.ts';

const DESCRIPTOR = z.object({
  mediaType: z.string(),
  digest: z.string(),
  size: z.number(),
  artifactType: z.string().exactOptional(),
  annotations: z.record(z.string(), z.string()).exactOptional(),
});
const MANIFEST = DESCRIPTOR.extend({
  /** Absent for content whose fields are not those of OCI. */
  kind: z.enum(['image', 'index']).exactOptional(),
  config: DESCRIPTOR.exactOptional(),
  layers: z.array(DESCRIPTOR).exactOptional(),
  manifests: z.array(DESCRIPTOR).exactOptional(),
  subject: DESCRIPTOR.exactOptional(),
});

export interface RepositoryEndpointsDependencies {
  readonly gate: ProjectGate;
  readonly content: ContentSource;
  /** The repository of the store that a name means; undefined: none that may be served. */
  readonly repositoryOf: (
    requested: { readonly name: RepositoryName; readonly namespace: undefined },
    signal: AbortSignal,
  ) => Promise<RepositoryName | undefined>;
  readonly index: Pick<RegistryIndex, 'catalog' | 'tags'>;
  /** Manifests of a repository that come after one, sorted by digest. */
  readonly manifestsAfter: (
    repository: RepositoryName,
    page: { readonly after: Digest | undefined; readonly limit: number },
    signal: AbortSignal,
  ) => Promise<readonly Digest[]>;
  /** Throws RegistryError for what is not there or may not be deleted. Undefined: nothing is deleted here. */
  readonly remove:
    | ((name: RepositoryName, reference: ManifestReference, signal: AbortSignal) => Promise<void>)
    | undefined;
}

/** `/api/v1/projects/{project}/repositories` and `/api/v1/repositories/{repository}/-/…` */
export function repositoryEndpoints(deps: RepositoryEndpointsDependencies): Endpoint[] {
  return [...repositoryLists(deps), manifestDetails(deps), ...deletions(deps)];
}

function repositoryLists(deps: RepositoryEndpointsDependencies): Endpoint[] {
  const { gate, content, repositoryOf, index, manifestsAfter } = deps;
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/projects/{project}/repositories',
      id: 'listRepositories',
      summary: 'The repositories of a project, by name',
      access: 'reader',
      query: PAGE_QUERY,
      reply: z.object({ repositories: z.array(z.object({ name: z.string() })), next: NEXT }),
      status: 200,
      answer: async ({ caller, parameters, query, signal }) => {
        const { name } = await gate.project(caller, parameters.project, signal);
        const all = (await index.catalog.repositories(signal)).filter(
          (repository) => firstSegment(repository) === name,
        );
        const { entries, ...rest } = await visiblePage(all, query);
        return { value: { repositories: entries.map((entry) => ({ name: entry })), ...rest } };
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/repositories/{repository}/-/tags',
      id: 'listTags',
      summary: 'The tags of a repository with what they name',
      access: 'reader',
      query: PAGE_QUERY,
      reply: z.object({
        tags: z.array(z.object({ name: z.string(), digest: z.string() })),
        next: NEXT,
      }),
      status: 200,
      answer: async ({ caller, parameters, query, signal }) => {
        const name = await gate.repository(caller, parameters.repository, 'pull', signal);
        const stored = await repositoryOf({ name, namespace: undefined }, signal);
        const all = stored && (await content.tags({ name, namespace: undefined }, signal));
        if (!stored || !all) throw unknownRepository(name);
        const { entries, ...rest } = await visiblePage(all, query);
        const tags = await Promise.all(
          entries.map(async (tag) => ({
            name: tag,
            digest: await index.tags.get(stored, tag, signal),
          })),
        );
        // A tag may be gone since the list was read.
        return { value: { tags: tags.filter(({ digest }) => digest !== undefined), ...rest } };
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/repositories/{repository}/-/manifests',
      id: 'listManifests',
      summary: 'The manifests of a repository, with and without a tag, by digest',
      access: 'reader',
      query: PAGE_QUERY,
      reply: z.object({ manifests: z.array(z.object({ digest: z.string() })), next: NEXT }),
      status: 200,
      answer: async ({ caller, parameters, query, signal }) => {
        const name = await gate.repository(caller, parameters.repository, 'pull', signal);
        const stored = await repositoryOf({ name, namespace: undefined }, signal);
        if (!stored || !(await index.catalog.has(stored, signal))) throw unknownRepository(name);
        const after = query.last === undefined ? undefined : parseDigest(query.last);
        if (query.last !== undefined && !after) throw registryError('DIGEST_INVALID');
        const found = await manifestsAfter(stored, { after, limit: query.n + 1 }, signal);
        const manifests = found.slice(0, query.n).map((digest) => ({ digest }));
        const next = found.length > query.n ? manifests.at(-1)?.digest : undefined;
        return { value: { manifests, ...(next !== undefined && { next }) } };
      },
    }),
  ];
}

const manifestDetails = ({ gate, content }: RepositoryEndpointsDependencies): Endpoint =>
  endpoint({
    method: 'GET',
    path: '/api/v1/repositories/{repository}/-/manifests/{reference}',
    id: 'getManifest',
    summary: 'What a manifest consists of, by tag or digest',
    access: 'reader',
    reply: MANIFEST,
    status: 200,
    answer: async ({ caller, parameters, signal }) => {
      const name = await gate.repository(caller, parameters.repository, 'pull', signal);
      const reference = requireReference(parameters.reference);
      const manifest = await content.manifest({ name, namespace: undefined }, reference, signal);
      if (!manifest) throw registryError('MANIFEST_UNKNOWN');
      return { value: described(manifest) };
    },
  });

function deletions({ gate, remove }: RepositoryEndpointsDependencies): Endpoint[] {
  if (!remove) return [];
  return [
    endpoint({
      method: 'DELETE',
      path: '/api/v1/repositories/{repository}/-/tags/{tag}',
      id: 'deleteTag',
      summary: 'Delete a tag; what it names stays',
      access: 'signed-in',
      status: 204,
      audit: {
        action: 'delete-tag',
        about: ({ parameters }) => ({
          repository: parameters.repository,
          reference: parameters.tag,
        }),
      },
      answer: async ({ caller, parameters, signal }) => {
        const name = await gate.repository(caller, parameters.repository, 'delete', signal);
        const tag = parseTag(parameters.tag);
        if (!tag) throw registryError('TAG_INVALID');
        await remove(name, { kind: 'tag', tag }, signal);
        return {};
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/repositories/{repository}/-/manifests/{reference}',
      id: 'deleteManifest',
      summary: 'Delete a manifest, by its digest, with every tag that names it',
      access: 'signed-in',
      status: 204,
      audit: {
        action: 'delete-manifest',
        about: ({ parameters }) => ({
          repository: parameters.repository,
          reference: parameters.reference,
        }),
      },
      answer: async ({ caller, parameters, signal }) => {
        const name = await gate.repository(caller, parameters.repository, 'delete', signal);
        const digest = parseDigest(parameters.reference);
        if (!digest) throw registryError('DIGEST_INVALID', { message: 'that is no digest' });
        await remove(name, { kind: 'digest', digest }, signal);
        return {};
      },
    }),
  ];
}

function requireReference(text: string): ManifestReference {
  const reference = parseManifestReference(text);
  if (!reference) throw registryError('TAG_INVALID', { message: 'that is no tag and no digest' });
  return reference;
}

function described({ digest, mediaType, size, bytes }: ManifestContent): object {
  const parsed = parsedOrNothing(bytes, mediaType);
  const stat = { digest, mediaType, size };
  if (!parsed) return stat;
  const { kind, config, layers, manifests, subject, artifactType, annotations } = parsed;
  return {
    ...stat,
    kind,
    ...(config && { config: plain(config) }),
    ...(kind === 'index' ? { manifests: manifests.map(plain) } : { layers: layers.map(plain) }),
    ...(subject && { subject: plain(subject) }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
}

const plain = (descriptor: Descriptor): object => ({ ...descriptor });

/** Undefined for what only another registry accepted. */
function parsedOrNothing(bytes: Buffer, mediaType: string): ParsedManifest | undefined {
  try {
    return parseManifest(bytes, mediaType);
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'MANIFEST_INVALID') return undefined;
    throw error;
  }
}
