import { pipeline } from 'node:stream/promises';

import type { BlobOptions, BlobRedirect, ContentSource } from '../content/content-source.ts';
import type { Digest } from '../oci/digest.ts';
import { registryError } from '../oci/errors.ts';
import type { RangeRequest } from '../oci/range.ts';
import { formatContentRange, parseRangeHeader } from '../oci/range-header.ts';
import type { RepositoryName } from '../oci/reference.ts';
import type { BlobBody } from '../storage/blob-store.ts';
import { noteWritten, writeHead } from './answer.ts';
import { ExactLength } from './exact-length.ts';
import { cacheHeader, type HeaderFields, HEADERS, namesEntityTag } from './headers.ts';
import { requestedRepository } from './requested-repository.ts';
import type { V2Exchange, V2Handler, V2Handlers } from './v2-exchange.ts';

/** A blob never changes under its digest: one year, as the reference implementation says. */
const BLOB_CACHE_CONTROL = 'max-age=31536000';

type BlobExchange = Pick<Parameters<V2Handler<'blobGet'>>[0], 'header' | 'send' | 'signal'> & {
  readonly request: {
    readonly name: RepositoryName;
    readonly digest: Digest;
    readonly query: URLSearchParams;
  };
};

/** GET and HEAD of blobs: whole, by one range, or not at all when the client has them. */
export function createBlobHandlers(
  content: ContentSource,
): Pick<V2Handlers, 'blobGet' | 'blobHead'> {
  return {
    blobGet: async (exchange) => {
      if (await sendNotModified(content, exchange)) return;
      const { request, signal } = exchange;
      const { repository, trace, echo } = requestedRepository(request);
      const options = blobOptions(exchange);
      const { range } = options;
      const body = await content.blob(repository, request.digest, options, signal);
      if (!body) throw unknownBlob(exchange);
      if ('url' in body) {
        const headers = { ...echo, ...cacheHeader(trace), [HEADERS.contentDigest]: request.digest };
        await sendRedirect(exchange, body, headers);
        return;
      }
      const part: HeaderFields = range
        ? { [HEADERS.contentRange]: formatContentRange(body, body.totalBytes) }
        : {};
      await sendBlob(exchange, body, range ? 206 : 200, {
        ...echo,
        ...cacheHeader(trace),
        ...blobHeaders(request.digest, body.length),
        ...part,
      });
    },
    blobHead: async (exchange) => {
      if (await sendNotModified(content, exchange)) return;
      const { request, signal } = exchange;
      const { repository, trace, echo } = requestedRepository(request);
      const stat = await content.blobStat(repository, request.digest, signal);
      if (!stat) throw unknownBlob(exchange);
      const headers = { ...echo, ...cacheHeader(trace), ...blobHeaders(request.digest, stat.size) };
      await exchange.send({ status: 200, headers });
    },
  };
}

/**
 * Sends the client to the store. It takes its `Range` along. The address is good for a short time and gives the blob
 * to everybody, so nobody may keep it.
 */
async function sendRedirect(
  exchange: Pick<BlobExchange, 'send'>,
  { url }: BlobRedirect,
  headers: HeaderFields,
): Promise<void> {
  await exchange.send({
    status: 307,
    headers: { ...headers, [HEADERS.location]: url, [HEADERS.cacheControl]: 'private, no-store' },
  });
}

/** Streams the body. A fault in between destroys the connection: what was sent must not look whole. */
async function sendBlob(
  exchange: Pick<V2Exchange, 'response' | 'send' | 'signal'>,
  body: BlobBody,
  status: number,
  headers: HeaderFields,
): Promise<void> {
  const { response, signal } = exchange;
  if (signal.aborted) {
    body.stream.destroy();
    return;
  }
  if (body.bytes) {
    await exchange.send({ status, headers, body: body.bytes });
    return;
  }
  writeHead(response, status, headers);
  // The first byte may be long in coming, and a client waits only so long for an answer to begin.
  if (body.length > 0) response.flushHeaders();
  if (body.copyTo) {
    // Past the answer, whose head is out: it would only gather writes until the event loop has turned.
    await body.copyTo(response.socket ?? response);
    noteWritten(response);
    response.end();
  } else await pipeline(body.stream, new ExactLength(body.length), response);
}

/** The bytes are named by their digest, so a client that names the digest has them; existence is still checked. */
async function sendNotModified(content: ContentSource, exchange: BlobExchange): Promise<boolean> {
  const condition = exchange.header('if-none-match');
  const { request, signal } = exchange;
  if (condition === undefined || !namesEntityTag(condition, entityTag(request.digest)))
    return false;
  const { repository, trace, echo } = requestedRepository(request);
  if (!(await content.blobStat(repository, request.digest, signal))) throw unknownBlob(exchange);
  const headers = { ...echo, ...cacheHeader(trace), [HEADERS.etag]: entityTag(request.digest) };
  await exchange.send({ status: 304, headers });
  return true;
}

/** Who asks for something odd is answered here: stores and what stands before them refuse what a registry must not. */
function blobOptions(exchange: BlobExchange): BlobOptions {
  const range = requestedRange(exchange);
  return { range, mayRedirect: range !== undefined || exchange.header('range') === undefined };
}

/** An `If-Range` that names other content makes the range void (RFC 9110, 13.1.5). */
function requestedRange(exchange: BlobExchange): RangeRequest | undefined {
  const condition = exchange.header('if-range');
  if (condition !== undefined && condition.trim() !== entityTag(exchange.request.digest)) {
    return undefined;
  }
  return parseRangeHeader(exchange.header('range') ?? '');
}

const unknownBlob = ({ request }: BlobExchange): Error =>
  registryError('BLOB_UNKNOWN', { detail: { name: request.name, digest: request.digest } });

const entityTag = (digest: Digest): string => `"${digest}"`;

const blobHeaders = (digest: Digest, length: number): HeaderFields => ({
  [HEADERS.acceptRanges]: 'bytes',
  [HEADERS.cacheControl]: BLOB_CACHE_CONTROL,
  [HEADERS.contentDigest]: digest,
  [HEADERS.contentLength]: length,
  [HEADERS.contentType]: 'application/octet-stream',
  [HEADERS.etag]: entityTag(digest),
});
