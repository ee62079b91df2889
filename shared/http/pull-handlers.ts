import type { Principal } from '../auth/access.ts';
import type {
  ContentSource,
  ManifestStat,
  ReferrerPageRequest,
  RequestedRepository,
} from '../content/content-source.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { registryError } from '../oci/errors.ts';
import { formatLinkAfter, formatNextLink } from '../oci/link-header.ts';
import { MEDIA_TYPES } from '../oci/media-types.ts';
import { cutPage, type PageLimits, parsePageRequest } from '../oci/pagination.ts';
import type { ManifestReference, RepositoryName } from '../oci/reference.ts';
import { createBlobHandlers } from './blob-handlers.ts';
import {
  cacheHeader,
  formatWarning,
  type HeaderFields,
  HEADERS,
  inertHeaders,
  namesEntityTag,
} from './headers.ts';
import { requestedRepository } from './requested-repository.ts';
import type { V2Exchange, V2Handler, V2Handlers } from './v2-exchange.ts';

const CATALOG_PAGES: PageLimits = { defaultSize: 100, maxSize: 1000 };
const TAG_PAGES: PageLimits = { defaultSize: 10_000, maxSize: 10_000 };
/** Bytes end a page of referrers; few clients ask for fewer. */
const REFERRER_PAGES: PageLimits = { defaultSize: Infinity, maxSize: Infinity };
const JSON_TYPE = 'application/json';

/** All repositories that the role lists, sorted by bytes. */
export type ListCatalog = (signal: AbortSignal) => Promise<readonly RepositoryName[]>;

interface PullHandlerOptions {
  /** Whether the catalog shows a repository to who asks; without it, it shows all. */
  readonly isListed?: (
    principal: Principal,
    name: RepositoryName,
    signal: AbortSignal,
  ) => Promise<boolean>;
}

/** The read half of the distribution API (spec.md#pull, #content-discovery) over any source of content. */
export function createPullHandlers(
  content: ContentSource,
  listCatalog: ListCatalog,
  { isListed }: PullHandlerOptions = {},
): V2Handlers {
  return {
    base: (exchange) => sendJson(exchange, {}),
    manifestGet: (exchange) => getManifest(content, exchange),
    manifestHead: (exchange) => headManifest(content, exchange),
    ...createBlobHandlers(content),
    tagList: (exchange) => listTags(content, exchange),
    catalogList: (exchange) => listRepositories(listCatalog, isListed, exchange),
    referrerList: (exchange) => listReferrers(content, exchange),
  };
}

async function getManifest(
  content: ContentSource,
  exchange: Parameters<V2Handler<'manifestGet'>>[0],
): Promise<void> {
  const { request, signal } = exchange;
  const { repository, trace, echo } = requestedRepository(request);
  const condition = exchange.header('if-none-match');
  if (condition !== undefined) {
    const stat = await requireStat(content, repository, request.reference, signal);
    if (namesEntityTag(condition, entityTag(stat.digest))) {
      await exchange.send({
        status: 304,
        headers: { ...echo, ...cacheHeader(trace), ...validators(stat) },
      });
      return;
    }
  }
  const manifest = await content.manifest(repository, request.reference, signal);
  if (!manifest) throw unknownManifest(repository, request.reference);
  const headers = { ...echo, ...cacheHeader(trace), ...manifestHeaders(manifest) };
  await exchange.send({ status: 200, headers, body: manifest.bytes });
}

async function headManifest(
  content: ContentSource,
  exchange: Parameters<V2Handler<'manifestHead'>>[0],
): Promise<void> {
  const { request, signal } = exchange;
  const { repository, trace, echo } = requestedRepository(request);
  const stat = await requireStat(content, repository, request.reference, signal);
  const condition = exchange.header('if-none-match');
  if (condition !== undefined && namesEntityTag(condition, entityTag(stat.digest))) {
    await exchange.send({
      status: 304,
      headers: { ...echo, ...cacheHeader(trace), ...validators(stat) },
    });
    return;
  }
  await exchange.send({
    status: 200,
    headers: { ...echo, ...cacheHeader(trace), ...manifestHeaders(stat) },
  });
}

async function requireStat(
  content: ContentSource,
  repository: RequestedRepository,
  reference: ManifestReference,
  signal: AbortSignal,
): Promise<ManifestStat> {
  const stat = await content.manifestStat(repository, reference, signal);
  if (!stat) throw unknownManifest(repository, reference);
  return stat;
}

function unknownManifest(repository: RequestedRepository, reference: ManifestReference): Error {
  return registryError('MANIFEST_UNKNOWN', {
    detail: {
      name: repository.name,
      reference: reference.kind === 'tag' ? reference.tag : reference.digest,
    },
  });
}

async function listTags(
  content: ContentSource,
  exchange: Parameters<V2Handler<'tagList'>>[0],
): Promise<void> {
  const { request, signal } = exchange;
  const { repository, echo } = requestedRepository(request);
  const pageRequest = parsePageRequest(request.query, TAG_PAGES);
  const all = await content.tags(repository, signal);
  if (!all) throw registryError('NAME_UNKNOWN', { detail: { name: request.name } });
  const page = cutPage(all, pageRequest);
  const kept = new URLSearchParams(
    repository.namespace === undefined ? {} : { ns: repository.namespace },
  );
  const link = page.next && formatNextLink(request.path, pageRequest, page.next, kept);
  await sendJson(
    exchange,
    { name: request.name, tags: page.entries },
    { ...echo, ...linkHeader(link) },
  );
}

async function listRepositories(
  listCatalog: ListCatalog,
  isListed: PullHandlerOptions['isListed'],
  exchange: Parameters<V2Handler<'catalogList'>>[0],
): Promise<void> {
  const { request, signal } = exchange;
  const pageRequest = parsePageRequest(request.query, CATALOG_PAGES);
  const all = await listCatalog(signal);
  const page = cutPage(isListed ? await listed(all, isListed, exchange) : all, pageRequest);
  const link = page.next && formatNextLink(request.path, pageRequest, page.next);
  await sendJson(exchange, { repositories: page.entries }, linkHeader(link));
}

async function listed(
  all: readonly RepositoryName[],
  isListed: NonNullable<PullHandlerOptions['isListed']>,
  { principal, signal }: Pick<V2Exchange, 'principal' | 'signal'>,
): Promise<RepositoryName[]> {
  const shown: RepositoryName[] = [];
  for (const name of all) if (await isListed(principal, name, signal)) shown.push(name);
  return shown;
}

async function listReferrers(
  content: ContentSource,
  exchange: Parameters<V2Handler<'referrerList'>>[0],
): Promise<void> {
  const { request, signal } = exchange;
  const { repository, echo } = requestedRepository(request);
  const pageRequest = referrerPageRequest(request.query);
  const page = await content.referrers(repository, request.digest, pageRequest, signal);
  const isFiltered = pageRequest.artifactTypes.length > 0;
  const filtered: HeaderFields = isFiltered ? { [HEADERS.filtersApplied]: 'artifactType' } : {};
  const kept = keptParameters(request.query, ['ns', 'artifactType', 'n']);
  const link = page.next && formatLinkAfter(request.path, page.next, kept);
  await exchange.send({
    status: 200,
    headers: {
      ...echo,
      ...filtered,
      ...warningHeader(page.warning),
      ...linkHeader(link),
      [HEADERS.contentType]: MEDIA_TYPES.ociIndex,
    },
    body: JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: page.descriptors,
    }),
  });
}

/** Several artifact types, as containerd sends them, ask for those of any of them. */
function referrerPageRequest(query: URLSearchParams): ReferrerPageRequest {
  const { size, last } = parsePageRequest(query, REFERRER_PAGES);
  const after = last ? parseDigest(last) : undefined;
  if (last && !after) {
    throw registryError('DIGEST_INVALID', {
      message: '`last` is not a sha256 or sha512 digest',
      detail: { last: last.slice(0, 160) },
    });
  }
  return { artifactTypes: query.getAll('artifactType').filter((type) => type !== ''), after, size };
}

function keptParameters(query: URLSearchParams, names: readonly string[]): URLSearchParams {
  return new URLSearchParams(
    names.flatMap((name) => query.getAll(name).map((value) => [name, value])),
  );
}

function sendJson(
  exchange: Pick<V2Exchange, 'send'>,
  value: unknown,
  headers: HeaderFields = {},
): Promise<void> {
  return exchange.send({
    status: 200,
    headers: { [HEADERS.contentType]: JSON_TYPE, ...headers },
    body: JSON.stringify(value),
  });
}

const entityTag = (digest: Digest): string => `"${digest}"`;

function validators(stat: ManifestStat): HeaderFields {
  return {
    [HEADERS.contentDigest]: stat.digest,
    [HEADERS.etag]: entityTag(stat.digest),
    ...warningHeader(stat.warning),
  };
}

function manifestHeaders(stat: ManifestStat): HeaderFields {
  return {
    [HEADERS.contentType]: stat.mediaType,
    [HEADERS.contentLength]: stat.size,
    ...inertHeaders(stat.mediaType),
    ...validators(stat),
  };
}

const warningHeader = (warning: string | undefined): HeaderFields =>
  warning === undefined ? {} : { [HEADERS.warning]: formatWarning(warning) };

const linkHeader = (link: string | undefined): HeaderFields =>
  link ? { [HEADERS.link]: link } : {};
